"""The fleet's workers as the API shows them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from jobfleet_contracts.codec import format_time
from jobfleet_contracts.ports import WorkerDirectory
from jobfleet_contracts.worker_status import RunningJob, WorkerStatus

SILENT_AFTER = timedelta(seconds=15)
"""Three heartbeats."""


def is_alive(status: WorkerStatus, now: datetime) -> bool:
    """Whether the last heartbeat is less than 15 s old."""
    return now - status.heartbeat_at < SILENT_AFTER


async def worker_list(directory: WorkerDirectory, now: datetime) -> list[dict[str, Any]]:
    """Return every known worker.

    Raises:
        BackendUnavailable: the directory cannot be read.
    """
    return [_worker(status, now) for status in await directory.workers()]


def _worker(status: WorkerStatus, now: datetime) -> dict[str, Any]:
    return {
        "workerId": status.worker_id,
        "host": status.host,
        "pid": status.pid,
        "version": status.version,
        "startedAt": format_time(status.started_at),
        "heartbeatAt": format_time(status.heartbeat_at),
        "alive": is_alive(status, now),
        "draining": status.draining,
        "slots": status.slots,
        "slotsUsed": len(status.running),
        "queues": list(status.queues),
        "types": list(status.types),
        "openCircuits": list(status.open_circuits),
        "running": [_running(job) for job in status.running],
        "unreadable": status.unreadable or None,
    }


def _running(job: RunningJob) -> dict[str, Any]:
    return {
        "jobId": job.job_id,
        "jobName": job.job_name,
        "type": job.job_type,
        "attempt": job.attempt,
        "startedAt": format_time(job.started_at),
        "leaseSecondsLeft": round(job.lease_seconds_left, 3),
    }
