"""What a worker says of itself with each heartbeat."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningJob:
    """A job in one slot; ``lease_seconds_left`` is as of the heartbeat."""

    job_id: str
    job_name: str
    job_type: str
    attempt: int
    started_at: datetime
    lease_seconds_left: float


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerStatus:
    """One row of the worker directory, replaced with each heartbeat (every 5 s).

    Attributes:
        worker_id: a fresh UUID per process start, never a host name that comes back.
        open_circuits: targets (host and port) that it leaves alone for now, at most 100.
        draining: the worker takes no new jobs and is about to stop.
    """

    worker_id: str
    host: str
    pid: int
    version: str
    started_at: datetime
    heartbeat_at: datetime
    slots: int
    queues: tuple[str, ...]
    types: tuple[str, ...]
    running: tuple[RunningJob, ...] = ()
    draining: bool = False
    open_circuits: tuple[str, ...] = ()
