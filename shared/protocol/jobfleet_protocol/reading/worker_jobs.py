"""What workers run; if a worker fell silent, without the jobs that it has lost since."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from jobfleet_contracts.fleet_ports import WorkerDirectory
from jobfleet_contracts.ports import AuditTrail
from jobfleet_contracts.state import State
from jobfleet_contracts.worker_status import RunningJob, WorkerStatus
from jobfleet_protocol.reading.readable_trail import ReadableTrail

_MOST_ASKED = 100
"""How many jobs of silent workers are read from the trail. Others are shown as last reported."""
_AT_ONCE = 20
_HELD = frozenset({State.RUNNING, State.WAITING})


async def read_workers(
    directory: WorkerDirectory, trail: AuditTrail, now: datetime
) -> Sequence[WorkerStatus]:
    """Return every worker of the last hour, longest running first.

    A worker that is silent cannot say that its jobs were taken over or have ended, so the trail is
    asked about each of them: one request a job, for 100 jobs at most.

    Raises:
        BackendUnavailable: directory or trail cannot be read.
    """
    workers = await directory.workers()
    silent = [worker for worker in workers if not worker.is_alive(now)]
    asked = [(worker.worker_id, job) for worker in silent for job in worker.running][:_MOST_ASKED]
    lost = await _lost(asked, ReadableTrail(trail))
    return [_without(worker, lost) for worker in workers]


async def held_jobs(worker: WorkerStatus, trail: AuditTrail) -> WorkerStatus:
    """Return a silent worker without the jobs that it has lost, as ``read_workers`` does."""
    asked = [(worker.worker_id, job) for job in worker.running][:_MOST_ASKED]
    return _without(worker, await _lost(asked, ReadableTrail(trail)))


async def _lost(asked: Sequence[tuple[str, RunningJob]], trail: ReadableTrail) -> set[str]:
    """Return ``<worker> <job>`` of the jobs that their workers do not hold any more."""
    limit = asyncio.Semaphore(_AT_ONCE)

    async def look(worker_id: str, job: RunningJob) -> str | None:
        async with limit:
            head = await trail.newest(job.job_id)
        held = head is not None and head.after.state in _HELD
        if held and head is not None and head.after.worker_id == worker_id:
            return None
        return f"{worker_id} {job.job_id}"

    found = await asyncio.gather(*(look(*one) for one in asked))
    return {name for name in found if name is not None}


def _without(worker: WorkerStatus, lost: set[str]) -> WorkerStatus:
    if not worker.running or not lost:
        return worker
    left = [job for job in worker.running if f"{worker.worker_id} {job.job_id}" not in lost]
    return replace(worker, running=tuple(left))
