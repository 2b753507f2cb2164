"""How fast one key, or one address, may submit."""

from __future__ import annotations

import time

from fastapi import Request
from limits import parse
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter

from jobfleet_contracts.errors import SettingsError
from jobfleet_dashboard.problems import too_many
from jobfleet_dashboard.security.access import asker


class RateLimit:
    """A sliding window per key or address, in this process; a bulk request counts once."""

    def __init__(self, limit: str) -> None:
        try:
            self._limit = parse(limit)
        except ValueError:
            raise SettingsError(
                f"JOBFLEET_RATE_LIMIT: {limit!r} is no rate; write it as 1000/minute"
            ) from None
        self._window = SlidingWindowCounterRateLimiter(MemoryStorage())

    async def check(self, request: Request) -> None:
        """Count one request.

        Raises:
            Problem: 429 with ``Retry-After`` where the limit is reached.
        """
        address = request.client.host if request.client else "unknown"
        who = asker(request) or address
        if await self._window.hit(self._limit, "submit", who):
            return
        stats = await self._window.get_window_stats(self._limit, "submit", who)
        wait = int(stats.reset_time - time.time()) + 1
        raise too_many(f"{who} is over {self._limit}; try later", "rate-limited", wait)
