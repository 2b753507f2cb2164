"""Puts off jobs that need a process while none is free, so that jobs of other types go on."""

from __future__ import annotations

import heapq
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from jobfleet_contracts.message import JobMessage
from jobfleet_contracts.ports import AuditTrail, Clock, LeaseStore
from jobfleet_worker.handlers.registry import Handlers
from jobfleet_worker.processes.pool import ProcessPool
from jobfleet_worker.run.deferral import Deferral
from jobfleet_worker.run.handler_gate import needs_handler
from jobfleet_worker.run.slots import Slots

WAIT_SECONDS = 0.5
"""For a process to become free: short jobs follow each other without a delay queue."""
APART_SECONDS = 0.05
"""Between two jobs that are put off: otherwise a long queue of them is put off at full speed."""
BACK_PER_SECOND = 20
"""How many messages that were put off may come back."""
LONGEST_DELAY = 30.0


class ProcessGate:
    """Decides before the claim; needs no lease."""

    def __init__(
        self,
        *,
        trail: AuditTrail,
        leases: LeaseStore,
        deferral: Deferral,
        handlers: Handlers,
        pool: ProcessPool,
        slots: Slots,
        clock: Clock,
    ) -> None:
        self._trail = trail
        self._leases = leases
        self._deferral = deferral
        self._handlers = handlers
        self._pool = pool
        self._slots = slots
        self._clock = clock
        self._next_at = 0.0
        self._freed = 0
        self._freed_at = float("-inf")
        self._back_at: list[float] = []

    @asynccontextmanager
    async def place(self, message: JobMessage) -> AsyncIterator[bool]:
        """Yield whether the job may be claimed: it needs no process, or one is kept for it.

        The runner frees the process when its job has ended; this does so if none has run.
        """
        found = self._handlers.get(message.request.type)
        if found is None or found.run_in != "process":
            yield True
            return
        job_id = message.request.job_id
        if self._pool.has_place(job_id):  # another message of a job that runs here: the claim knows
            yield True
            return
        is_kept = await self._pool.place(job_id, self._patience())
        try:
            yield is_kept
        finally:
            if is_kept:
                self._pool.free_place(job_id)

    async def put_off(self, message: JobMessage) -> bool:
        """Put the message off, unless its job needs no start; returns whether it was put off.

        The claim then does what needs no handler: ended, cancelled, not due, running elsewhere.

        Raises:
            BackendError: the trail cannot be read or written; keep the delivery and try again.
        """
        head = None
        if message.deferrals == 0:  # later ones were looked at, and wait for a process only
            head = await self._trail.newest(message.request.job_id)
            if head is not None and not await needs_handler(head, self._leases, self._clock):
                return False
        await self._deferral.until_process_free(message, head, self._delay())
        return True

    def _patience(self) -> float:
        """Return how long the message may wait in its slot.

        While jobs are long, no job waits in the last free slot, but for the little that keeps a
        queue of such jobs from passing through at full speed: other types come through that slot.
        """
        now = self._clock.boottime()
        comes_at = max(self._next_at, now)
        self._next_at = comes_at + APART_SECONDS
        may_wait = self._slots.free > 0 or self._are_short(now)
        return max(WAIT_SECONDS if may_wait else 0.0, comes_at - now)

    def _are_short(self, now: float) -> bool:
        """Return whether a job has freed its process within the last half second."""
        if self._pool.freed != self._freed:
            self._freed, self._freed_at = self._pool.freed, now
        return now - self._freed_at < WAIT_SECONDS

    def _delay(self) -> float:
        """Return seconds to put a message off; they grow with the number of those put off."""
        now = self._clock.boottime()
        while self._back_at and self._back_at[0] <= now:
            heapq.heappop(self._back_at)
        delay = min(max(1.0, len(self._back_at) / BACK_PER_SECOND), LONGEST_DELAY)
        heapq.heappush(self._back_at, now + delay)
        return delay
