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
                f"JOBFLEET_RATE_LIMIT: {limit!r} is not a rate; write it as 1000/minute"
            ) from None
        self._window = SlidingWindowCounterRateLimiter(MemoryStorage())

    async def check(self, request: Request) -> None:
        """Count one submit.

        Raises:
            Problem: 429 with ``Retry-After`` where the limit is reached.
        """
        name = asker(request)
        if name is None:
            await self.check_address(request, "submit")
        else:
            await self._count(name, "submit", "key")

    async def check_address(self, request: Request, action: str) -> None:
        """Count one request of an address, apart from its requests of other kinds.

        Raises:
            Problem: 429 with ``Retry-After`` where the limit is reached.
        """
        address = request.client.host if request.client else "unknown"
        await self._count(address, action, "address")

    async def _count(self, who: str, action: str, kind: str) -> None:
        if await self._window.hit(self._limit, action, kind, who):
            return
        stats = await self._window.get_window_stats(self._limit, action, kind, who)
        wait = int(stats.reset_time - time.time()) + 1
        raise too_many(f"{who} is over {self._limit}; try later", "rate-limited", wait)
