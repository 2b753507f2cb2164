"""The census, taken once for all who ask at about the same time."""

from __future__ import annotations

import asyncio

from jobfleet_contracts.index import Census
from jobfleet_contracts.ports import Clock, JobIndexReader

REST = 9
"""A census is kept this many times as long as it took: at most a tenth of the time counts."""


class CensusReader:
    """Counts anew when the last census is old for what it cost.

    On the embedded backend that is some milliseconds. On Azure each open job is a row to read: with
    20,000 of them a census takes about a second, and one is shown for ten.
    """

    def __init__(self, *, reader: JobIndexReader, clock: Clock) -> None:
        self._reader = reader
        self._clock = clock
        self._lock = asyncio.Lock()
        self._census: Census | None = None
        self._fresh_until = float("-inf")

    async def read(self) -> Census:
        """Return the census.

        Raises:
            BackendUnavailable: the index cannot be read.
        """
        async with self._lock:
            began = self._clock.boottime()
            if self._census is None or began >= self._fresh_until:
                self._census = await self._reader.census()
                ended = self._clock.boottime()
                self._fresh_until = ended + (ended - began) * REST
            return self._census
