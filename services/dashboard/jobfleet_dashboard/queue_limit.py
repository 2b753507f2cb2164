"""Refuses submits to a queue that is too deep."""

from __future__ import annotations

from collections import Counter

from jobfleet_contracts.errors import BackendError
from jobfleet_contracts.ports import Clock, JobQueue
from jobfleet_dashboard.problems import too_many

_FRESH_SECONDS = 1.0
_RETRY_AFTER_SECONDS = 10


class QueueLimit:
    """Looks at the depths at most once a second, and counts what it lets in meanwhile.

    While the broker cannot be asked nothing is refused: a submit needs the trail alone.
    """

    def __init__(self, *, queue: JobQueue, clock: Clock, max_ready: int | None) -> None:
        self._queue = queue
        self._clock = clock
        self._max_ready = max_ready
        self._ready: Counter[str] = Counter()
        self._read_at = float("-inf")

    async def check(self, queue: str, jobs: int = 1) -> None:
        """Check the queue that these jobs name, and count them.

        Raises:
            Problem: 429 with ``Retry-After`` if it holds more than the limit.
        """
        if self._max_ready is None:
            return
        await self._refresh()
        if self._ready[queue] > self._max_ready:
            detail = f"queue {queue} holds {self._ready[queue]:,} jobs; at most {self._max_ready:,}"
            raise too_many(detail, "queue-full", _RETRY_AFTER_SECONDS)
        self._ready[queue] += jobs

    async def _refresh(self) -> None:
        now = self._clock.boottime()
        if now - self._read_at < _FRESH_SECONDS:
            return
        self._read_at = now
        try:
            depths = await self._queue.depths()
        except BackendError:
            self._ready = Counter()
            return
        self._ready = Counter()
        for depth in depths:
            self._ready[depth.queue] += depth.ready
