"""How many jobs this worker may run at once, and how many of them do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

from jobfleet_contracts.ports import Clock

REST = 3
"""After a reservation of s seconds, other jobs have all slots for at least 3 s seconds."""
LOOK_SECONDS = 2.0
"""Longest wait for what the deliveries beside a suspect are."""


class Slots:
    """Counts slots; a slot stays taken until its handler has really ended.

    A job that must run alone reserves all slots. It waits for the jobs beside it, and no longer
    than a bound: otherwise a few jobs that kill their workers would keep all slots empty. The
    bound doubles with each wait that was too short. So it exceeds the longest time limit of the
    other jobs in the end, and the job runs even if the queue is never empty.

    Attributes:
        taken: slots in which a job runs, or a delivery is looked at.
        suspects: taken slots whose job must run alone.
        is_reserved: one delivery waits to run alone, or runs so: nothing else may start.
    """

    def __init__(self, total: int, *, clock: Clock, alone_seconds: float) -> None:
        """Take the number of slots.

        Args:
            alone_seconds: the shortest bound of a wait to run alone.
        """
        self.total = total
        self.is_reserved = False
        self._clock = clock
        self._shortest_wait = alone_seconds
        self._longest_wait = alone_seconds
        self._rests_until = clock.boottime()
        self.taken = 0
        self._running = 0
        self.suspects = 0
        self._left_behind = 0
        self._is_closed = False
        self._changed = asyncio.Event()

    @property
    def free(self) -> int:
        """Slots in which a job can start now."""
        return 0 if self.is_reserved else self.total - self.taken

    def take(self) -> None:
        """Occupy one."""
        self.taken += 1

    def release(self) -> None:
        """Free one."""
        self.taken -= 1
        self._changed.set()

    def close(self) -> None:
        """End the wait of a suspect that wants to run alone: the worker stops."""
        self._is_closed = True
        self._changed.set()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Count a taken slot as one in which a job runs."""
        self._running += 1
        self._changed.set()
        try:
            yield
        finally:
            self._running -= 1

    @contextmanager
    def suspect(self) -> Iterator[None]:
        """Count a taken slot as one that holds a job which must run alone."""
        self.suspects += 1
        self._changed.set()
        try:
            yield
        finally:
            self.suspects -= 1

    async def until_looked_at(self) -> None:
        """Wait, for two seconds at most, until each taken slot holds a job that runs or a suspect.

        Suspects that were received together would otherwise take each other for other jobs. All of
        them would be put off, and the worker would idle until they come again.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(LOOK_SECONDS):
                while self.taken > self._running + self.suspects and not self._is_settled:
                    self._changed.clear()
                    await self._changed.wait()

    @property
    def _is_settled(self) -> bool:
        return self.is_reserved or self._is_closed

    @contextmanager
    def left_behind(self) -> Iterator[None]:
        """Count a taken slot as one that may never be free: its handler did not stop."""
        self._left_behind += 1
        self._changed.set()
        try:
            yield
        finally:
            self._left_behind -= 1

    async def until_free(self) -> None:
        """Wait until at least one is free."""
        while self.free <= 0:
            self._changed.clear()
            await self._changed.wait()

    @property
    def rest_left(self) -> float:
        """Seconds until a job may reserve all slots, though others run; 0 if it may now."""
        return max(0.0, self._rests_until - self._clock.boottime())

    @property
    def can_be_reserved(self) -> bool:
        """Whether a suspect may reserve all slots now; always if nothing but suspects is here."""
        return not self.is_reserved and (self.taken == self.suspects or not self.rest_left)

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[bool]:
        """Reserve all slots, and wait until the caller's own is the only one taken.

        It yields ``False`` if the jobs beside it do not end within the bound. It yields so without
        a further wait if the worker stops, or if a handler that was left behind still runs: that
        one may never end.
        """
        self.is_reserved = True
        self._changed.set()
        began = self._clock.boottime()
        try:
            if self.taken > 1:
                await self._until_others_ended()
                self._longest_wait = max(self._shortest_wait, 2 * (self._clock.boottime() - began))
            yield self.taken == 1 and not self._is_closed
        finally:
            self.is_reserved = False
            now = self._clock.boottime()
            # A job that nothing runs beside may reserve during a rest: its own never ends that one.
            self._rests_until = max(self._rests_until, now + REST * (now - began))
            self._changed.set()

    async def _until_others_ended(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._longest_wait):
                while self.taken > 1 and not self._left_behind and not self._is_closed:
                    self._changed.clear()
                    await self._changed.wait()
