"""What one worker does or did: whether it lives, what it ran, and which jobs it lost."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from jobfleet_contracts.codec import format_time
from jobfleet_contracts.errors import NotFound
from jobfleet_contracts.event import Event
from jobfleet_contracts.fleet_ports import WorkerDirectory
from jobfleet_contracts.index import JobQuery, JobRow
from jobfleet_contracts.lookup_keys import LOST_BY, keys_in, normalised
from jobfleet_contracts.ports import AuditTrail, JobIndexReader
from jobfleet_contracts.state import Status
from jobfleet_contracts.worker_status import RunningJob, WorkerStatus
from jobfleet_protocol.reading.readable_trail import ReadableTrail
from jobfleet_protocol.reading.worker_jobs import held_jobs

MOST_LOST_JOBS = 20
"""Jobs that a worker lost whose trails are read: two requests a job."""


class Condition(StrEnum):
    """Whether a worker works."""

    ALIVE = "alive"
    DRAINING = "draining"
    STOPPED = "stopped"
    GONE = "gone"
    TAKEN_OVER = "takenOver"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Takeover:
    """One job that was taken from the worker, by another one or by itself under a newer claim."""

    job_id: str
    job_name: str
    job_type: str
    attempt: int
    at: datetime
    by: str | None

    @classmethod
    def of(cls, event: Event) -> Takeover:
        """Return what a ``TakenOver`` says."""
        return cls(
            job_id=event.job_id,
            job_name=event.facts.job_name,
            job_type=event.facts.job_type,
            attempt=event.after.attempt,
            at=event.occurred_at,
            by=event.worker_id,
        )

    def to_json(self) -> dict[str, Any]:
        """Return the form of REST API and command line."""
        return {
            "jobId": self.job_id,
            "jobName": self.job_name,
            "type": self.job_type,
            "attempt": self.attempt,
            "at": format_time(self.at),
            "byWorkerId": self.by,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerRecord:
    """One worker.

    Attributes:
        status: as the worker described itself last; if it is silent, without the jobs that it lost.
        since: when it got its condition: it started, stopped, was last heard of, or lost a job
            after that.
        takeovers: jobs taken from it, newest first.
        more_lost: it lost more jobs than were looked at.
        now: when this was read.
    """

    status: WorkerStatus
    condition: Condition
    since: datetime
    takeovers: Sequence[Takeover]
    more_lost: bool
    now: datetime

    def to_json(self) -> dict[str, Any]:
        """Return the document of ``GET /api/workers/{workerId}``."""
        status = self.status
        return {
            **worker_json(status, self.now),
            "condition": self.condition.value,
            "since": format_time(self.since),
            "stoppedAt": None if status.stopped_at is None else format_time(status.stopped_at),
            "runs": status.runs,
            "failures": status.failures,
            "fenced": status.fenced,
            "recent": [run.to_json() for run in status.recent],
            "takeovers": [takeover.to_json() for takeover in self.takeovers],
            "moreTakeovers": self.more_lost,
        }


def worker_json(status: WorkerStatus, now: datetime) -> dict[str, Any]:
    """Return one item of ``GET /api/workers``."""
    return {
        "workerId": status.worker_id,
        "host": status.host,
        "pid": status.pid,
        "version": status.version,
        "level": status.level,
        "startedAt": format_time(status.started_at),
        "heartbeatAt": format_time(status.heartbeat_at),
        "alive": status.is_alive(now),
        "draining": status.draining,
        "slots": status.slots,
        "slotsUsed": len(status.running),
        "queues": list(status.queues),
        "types": list(status.types),
        "openCircuits": list(status.open_circuits),
        "schedules": sorted(status.schedules),
        "clockOffSeconds": status.clock_off_seconds,
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


async def read_worker(
    worker_id: str,
    *,
    directory: WorkerDirectory,
    reader: JobIndexReader,
    trail: AuditTrail,
    now: datetime,
) -> WorkerRecord:
    """Return what is known of a worker that was heard of within seven days.

    Raises:
        NotFound: it was not.
        BackendUnavailable: directory, index or trail cannot be read.
    """
    wanted = worker_id.lower()
    query = JobQuery(keys={LOST_BY: normalised(wanted) or ""}, limit=MOST_LOST_JOBS)
    status, lost = await asyncio.gather(directory.worker(wanted), reader.jobs(query))
    if status is None:
        raise NotFound(f"no worker {worker_id} was heard of within seven days")
    if not status.is_alive(now):
        status = await held_jobs(status, trail)
    takeovers = await _takeovers(wanted, lost.items, ReadableTrail(trail))
    condition, since = _condition(status, takeovers, now)
    return WorkerRecord(
        status=status,
        condition=condition,
        since=since,
        takeovers=takeovers,
        more_lost=lost.next is not None,
        now=now,
    )


async def _takeovers(
    worker_id: str, rows: Sequence[JobRow], trail: ReadableTrail
) -> list[Takeover]:
    async def of_job(job_id: str) -> list[Takeover]:
        newest = await trail.newest(job_id)
        if newest is None or not newest.is_readable:
            return []
        events = await trail.lifecycle(job_id, last=newest.newest_lifecycle)
        return [Takeover.of(event) for event in events if _is_loss_of(worker_id, event)]

    found = await asyncio.gather(*(of_job(row.facts.job_id) for row in rows))
    return sorted((one for of_one in found for one in of_one), key=lambda one: one.at, reverse=True)


def _is_loss_of(worker_id: str, event: Event) -> bool:
    taken = event.is_readable and event.kind is Status.TAKEN_OVER
    return taken and keys_in(event).get(LOST_BY) == worker_id


def _condition(
    status: WorkerStatus, takeovers: Sequence[Takeover], now: datetime
) -> tuple[Condition, datetime]:
    if status.unreadable:
        return Condition.UNREADABLE, status.heartbeat_at
    if status.stopped_at is not None:
        return Condition.STOPPED, status.stopped_at
    if status.is_alive(now):
        return Condition.DRAINING if status.draining else Condition.ALIVE, status.started_at
    lost = [one.at for one in takeovers if one.at >= status.heartbeat_at]
    return (Condition.TAKEN_OVER, min(lost)) if lost else (Condition.GONE, status.heartbeat_at)
