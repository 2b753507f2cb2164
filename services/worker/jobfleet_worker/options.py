"""The options of one worker process."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

from jobfleet_contracts.job_id import new_id
from jobfleet_contracts.lease import LockScope
from jobfleet_contracts.message import JobDefaults
from jobfleet_contracts.protocol_level import PROTOCOL_LEVEL
from jobfleet_worker.outbound.options import OutboundOptions


def available_cores() -> int:
    """Return how many cores this process may use; a container's share of time is not seen."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerOptions:
    """Settings of a worker; seconds on a monotonic clock.

    Attributes:
        worker_id: a fresh UUID per process start.
        lock_scope: on whose lock a job without a lock key rests. ``fleet``: one lease for the whole
            fleet, so exactly one job runs at a time.
        retention_days: how long an ended job's history is kept; ``None``: for ever.
        job_logs: whether what handlers log is kept with their jobs.
        no_handler_seconds: how long a job whose type no worker has is put off before it fails;
            0: a worker that lacks its type fails it at once.
        alone_seconds: how long a suspect at first keeps all slots while it waits to run alone.
        max_jobs, max_memory_mb: after how many jobs, or above how many MiB of memory, the worker
            drains and stops; ``None``: never.
        grace_seconds: how long a handler may take to heed a cancellation before it is cut off.
        processes: how many jobs run at once in processes.
        max_jobs_per_process: how many jobs a process runs before it is replaced.
        max_mib_per_process: once it holds more memory after a job, it is replaced; ``None``: no
            limit.
        version, level: this release's version, and its protocol level.
        set_up_process: called first in each handler process, to log there as the worker does; it
            must survive pickling.
    """

    defaults: JobDefaults
    concurrency: int = 10
    queues: tuple[str, ...] = ("default",)
    lock_scope: LockScope = "job"
    lease_seconds: float = 60
    renew_seconds: float = 20
    rescue_seconds: float = 5
    defer_seconds: float = 10
    drain_seconds: float = 30
    no_handler_seconds: float = 60
    alone_seconds: float = 30
    grace_seconds: float = 5
    heartbeat_seconds: float = 5
    retention_days: float | None = None
    job_logs: bool = True
    max_jobs: int | None = None
    max_memory_mb: int | None = None
    outbound: OutboundOptions = field(default_factory=OutboundOptions)
    processes: int = field(default_factory=available_cores)
    max_jobs_per_process: int = 100
    max_mib_per_process: int | None = None
    set_up_process: Callable[[], None] | None = None
    version: str = ""
    level: int = PROTOCOL_LEVEL
    worker_id: str = field(default_factory=new_id)
    host: str = field(default_factory=platform.node)
    pid: int = field(default_factory=os.getpid)

    @property
    def slots(self) -> int:
        """How many jobs may run at once in this worker."""
        return 1 if self.lock_scope == "fleet" else self.concurrency

    @property
    def fresh(self) -> timedelta:
        """How old a message may be for its first claim to go without reading the trail.

        Less than the retention: a removed history leaves no row 2 that would refuse the claim.
        """
        day = timedelta(days=1)
        return day if self.retention_days is None else min(day, day * self.retention_days / 2)
