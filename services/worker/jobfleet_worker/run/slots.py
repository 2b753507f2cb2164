"""How many jobs this worker may run at once, and how many of them do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager


class Slots:
    """Counts slots; a slot stays taken until its handler has really ended.

    Attributes:
        is_reserved: one delivery waits to run alone, or runs so: nothing else may start.
    """

    def __init__(self, total: int) -> None:
        self.total = total
        self.is_reserved = False
        self._taken = 0
        self._left_behind = 0
        self._is_closed = False
        self._changed = asyncio.Event()

    @property
    def free(self) -> int:
        """Slots in which a job can start now."""
        return 0 if self.is_reserved else self.total - self._taken

    def take(self) -> None:
        """Occupy one."""
        self._taken += 1

    def release(self) -> None:
        """Free one."""
        self._taken -= 1
        self._changed.set()

    def close(self) -> None:
        """End the wait of whoever wants to run alone: the worker stops."""
        self._is_closed = True
        self._changed.set()

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

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[bool]:
        """Reserve all slots, and wait until the caller's own is the only one taken.

        Each job beside it ends within its time limit. It yields ``False``, without a further wait,
        if the worker stops or a handler that was left behind still runs: that one may never end.
        """
        self.is_reserved = True
        try:
            while self._taken > 1 and not self._left_behind and not self._is_closed:
                self._changed.clear()
                await self._changed.wait()
            yield self._taken == 1 and not self._is_closed
        finally:
            self.is_reserved = False
            self._changed.set()
