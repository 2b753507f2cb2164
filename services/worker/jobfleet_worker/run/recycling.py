"""Stops a worker after a number of jobs or above a memory limit; its supervisor starts another."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from jobfleet_worker.used_memory import used_memory_mb

WORKER_RECYCLED = "worker.recycled"

_log = structlog.get_logger()


class Recycling:
    """Counts ended jobs and asks for a stop once a limit is reached."""

    def __init__(
        self,
        *,
        max_jobs: int | None,
        max_memory_mb: int | None,
        stop: Callable[[], None],
        memory_mb: Callable[[], float] | None = None,
    ) -> None:
        """Take the limits; ``None`` for no limit.

        Args:
            memory_mb: what the process uses now, in MiB; the process's own figure if not given.
        """
        self._max_jobs = max_jobs
        self._max_memory_mb = max_memory_mb
        self._stop = stop
        self._memory_mb = memory_mb or used_memory_mb
        self._ended = 0

    def job_ended(self) -> None:
        """Count a job that left its slot; one that was put off counts too."""
        self._ended += 1
        if self._max_jobs is not None and self._ended == self._max_jobs:
            _log.info(WORKER_RECYCLED, jobs=self._ended)
            self._stop()
        if self._max_memory_mb is None:
            return
        used = self._memory_mb()
        if used > self._max_memory_mb:
            _log.info(WORKER_RECYCLED, memory_mb=round(used), most=self._max_memory_mb)
            self._max_memory_mb = None  # said once
            self._stop()
