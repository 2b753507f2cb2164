"""What a worker says of itself with each heartbeat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

from jobfleet_contracts.codec import format_time
from jobfleet_contracts.protocol_level import FIRST_LEVEL

if TYPE_CHECKING:
    from pydantic import TypeAdapter

SILENT_AFTER = timedelta(seconds=15)
"""Three heartbeats."""
LISTED = timedelta(hours=1)
"""So long after its last heartbeat a worker stands in lists."""
KEPT = timedelta(days=7)
"""So long a worker's report of itself can be read."""
MOST_RECENT_RUNS = 20
FENCED = "fenced"
"""End of an attempt that the trail did not take: another epoch runs the job."""
_NEVER = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningJob:
    """A job in one slot; ``lease_seconds_left`` is as of the heartbeat."""

    job_id: str
    job_name: str = ""
    job_type: str = ""
    attempt: int = 0
    started_at: datetime = _NEVER
    lease_seconds_left: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedRun:
    """An attempt that has left its slot; ``ended`` is the job's state after it, or ``FENCED``."""

    job_id: str
    job_name: str = ""
    job_type: str = ""
    attempt: int = 0
    started_at: datetime = _NEVER
    ended_at: datetime = _NEVER
    ended: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the run as REST API and command line show it."""
        return {
            "jobId": self.job_id,
            "jobName": self.job_name,
            "type": self.job_type,
            "attempt": self.attempt,
            "startedAt": format_time(self.started_at),
            "endedAt": format_time(self.ended_at),
            "ended": self.ended,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerStatus:
    """One row of the worker directory, replaced with each heartbeat (every 5 s).

    Attributes:
        worker_id: a fresh UUID per process start, never a host name that comes back.
        version: its release's version.
        level: its release's protocol level.
        leads: it holds the rescuer's lease.
        open_circuits: targets (host and port) that it leaves alone for now, at most 100.
        stopped_at: when it stopped in good order; ``None`` while it works, or if it was lost.
        draining: the worker takes no new jobs and is about to stop.
        schedules: what its code declares, the digest of each by name.
        refused: why its handlers refuse the payloads of schedules, by the schedule's digest; at
            most 20.
        clock_off_seconds: how far its clock is ahead of the storage's, negative if behind; 0 where
            that is not known or makes no difference.
        runs: attempts that have left its slots since it started.
        failures: those of them that failed or ran out of time.
        fenced: those of them whose end the trail did not take.
        recent: the last 20 of them, newest first.
        unreadable: why its row cannot be read; empty for every row that can.
    """

    worker_id: str
    host: str = ""
    pid: int = 0
    version: str = ""
    level: int = FIRST_LEVEL
    leads: bool = False
    started_at: datetime = _NEVER
    heartbeat_at: datetime = _NEVER
    slots: int = 0
    queues: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    running: tuple[RunningJob, ...] = ()
    draining: bool = False
    stopped_at: datetime | None = None
    open_circuits: tuple[str, ...] = ()
    schedules: Mapping[str, str] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)
    clock_off_seconds: float = 0.0
    runs: int = 0
    failures: int = 0
    fenced: int = 0
    recent: tuple[EndedRun, ...] = ()
    unreadable: str = ""

    def is_alive(self, now: datetime) -> bool:
        """Return whether its last heartbeat is less than 15 s old."""
        return now - self.heartbeat_at < SILENT_AFTER

    @classmethod
    def read(cls, worker_id: str, fields: Mapping[str, Any]) -> WorkerStatus:
        """Read a stored row, which another version may have written.

        Unknown fields are ignored and missing ones have defaults. A row that cannot be read at all
        becomes a stand-in with the reason in ``unreadable``.
        """
        from pydantic import ValidationError

        try:
            return _adapter().validate_python({**fields, "worker_id": worker_id, "unreadable": ""})
        except ValidationError as error:
            problem = error.errors(include_url=False, include_input=False)[0]
            place = ".".join(map(str, problem["loc"]))
            return cls(worker_id=worker_id, unreadable=f"{place}: {problem['msg']}")


@cache
def _adapter() -> TypeAdapter[WorkerStatus]:
    from pydantic import TypeAdapter

    return TypeAdapter(WorkerStatus)


def contents_by_name(workers: Sequence[WorkerStatus]) -> dict[str, dict[str, list[str]]]:
    """Return the digests declared under each schedule's name, with the ids of their workers."""
    found: dict[str, dict[str, list[str]]] = {}
    for worker in workers:
        for name, digest in worker.schedules.items():
            found.setdefault(name, {}).setdefault(digest, []).append(worker.worker_id)
    return found
