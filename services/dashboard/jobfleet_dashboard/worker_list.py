"""Workers as the API shows them: the fleet, and one by itself."""

from __future__ import annotations

from datetime import datetime

from jobfleet_contracts.fleet_ports import WorkerDirectory
from jobfleet_contracts.ports import AuditTrail
from jobfleet_contracts.worker_status import RunningJob, WorkerStatus
from jobfleet_dashboard.api.worker_documents import (
    RunningDocument,
    WorkerDetail,
    WorkerDocument,
    WorkerList,
)
from jobfleet_protocol.reading.worker_jobs import read_workers
from jobfleet_protocol.reading.worker_record import WorkerRecord


async def worker_list(directory: WorkerDirectory, trail: AuditTrail, now: datetime) -> WorkerList:
    """Return every known worker.

    Raises:
        BackendUnavailable: the directory cannot be read.
    """
    workers = await read_workers(directory, trail, now)
    return WorkerList(items=[_worker(status, now) for status in workers])


def worker_detail(record: WorkerRecord, now: datetime) -> WorkerDetail:
    """Return one worker."""
    listed = _worker(record.status, now).model_dump(by_alias=True)
    return WorkerDetail.model_validate({**listed, **record.to_json()})


def _worker(status: WorkerStatus, now: datetime) -> WorkerDocument:
    return WorkerDocument(
        worker_id=status.worker_id,
        host=status.host,
        pid=status.pid,
        version=status.version,
        level=status.level,
        started_at=status.started_at,
        heartbeat_at=status.heartbeat_at,
        alive=status.is_alive(now),
        draining=status.draining,
        slots=status.slots,
        slots_used=len(status.running),
        queues=list(status.queues),
        types=list(status.types),
        open_circuits=list(status.open_circuits),
        schedules=sorted(status.schedules),
        clock_off_seconds=status.clock_off_seconds,
        running=[_running(job) for job in status.running],
        unreadable=status.unreadable or None,
    )


def _running(job: RunningJob) -> RunningDocument:
    return RunningDocument(
        job_id=job.job_id,
        job_name=job.job_name,
        type=job.job_type,
        attempt=job.attempt,
        started_at=job.started_at,
        lease_seconds_left=round(job.lease_seconds_left, 3),
    )
