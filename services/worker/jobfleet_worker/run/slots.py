"""How many jobs this worker may run at once, and how many of them do."""

from __future__ import annotations

import asyncio


class Slots:
    """Counts slots; a slot stays taken until its handler has really ended."""

    def __init__(self, total: int) -> None:
        self.total = total
        self._taken = 0
        self._changed = asyncio.Event()

    @property
    def free(self) -> int:
        """Slots in which a job can start now."""
        return self.total - self._taken

    def take(self) -> None:
        """Occupy one."""
        self._taken += 1

    def release(self) -> None:
        """Free one."""
        self._taken -= 1
        self._changed.set()

    async def until_free(self) -> None:
        """Wait until at least one is free."""
        while self.free <= 0:
            self._changed.clear()
            await self._changed.wait()
