"""One listener's bounded share of the live events."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

from jobfleet_contracts.index import TimelineEntry

Batch = Sequence[TimelineEntry]
MAX_WAITING_ENTRIES = 2_000
"""A listener that is further behind than this is dropped and resumes by its cursor."""


class Subscription:
    """An asynchronous iterator of batches, oldest first; ends when dropped or at shutdown.

    All listeners receive the same batch objects, so what is rendered for one may serve all.
    """

    def __init__(self, *, job_id: str | None = None) -> None:
        self.job_id = job_id
        self._batches: deque[Batch] = deque()
        self._waiting = 0
        self._ended = False
        self._news = asyncio.Event()

    @property
    def ended(self) -> bool:
        """Whether nothing more will come."""
        return self._ended

    def offer(self, batch: Batch) -> bool:
        """Hand over a batch without waiting; ``False`` drops the listener for being slow."""
        if self.job_id is not None:
            batch = [entry for entry in batch if entry.event.job_id == self.job_id]
        if not batch or self._ended:
            return not self._ended
        self._waiting += len(batch)
        if self._waiting > MAX_WAITING_ENTRIES:
            self.end()
            return False
        self._batches.append(batch)
        self._news.set()
        return True

    def end(self) -> None:
        """Let the iteration end after what already waits."""
        self._ended = True
        self._news.set()

    async def next(self, timeout: float | None = None) -> Batch | None:
        """Return the next batch; empty after ``timeout`` seconds, ``None`` at the end."""
        if not self._batches and not self._ended:
            self._news.clear()
            try:
                async with asyncio.timeout(timeout):
                    await self._news.wait()
            except TimeoutError:
                return ()
        if self._batches:
            batch = self._batches.popleft()
            self._waiting -= len(batch)
            return batch
        return None

    def __aiter__(self) -> Subscription:
        return self

    async def __anext__(self) -> Batch:
        batch = await self.next()
        if batch is None:
            raise StopAsyncIteration
        return batch
