"""How many jobs ended in each minute of the last hour and in each hour of the last day."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from jobfleet_contracts.index import EndedCount, TimeStep
from jobfleet_contracts.ports import Clock, JobIndexReader
from jobfleet_contracts.state import State

LAG = timedelta(minutes=3)
"""Steps so recent are read again: the index may lag."""
_FRESH_SECONDS = 2.0
A_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Period:
    """A span of time: its last step is the one in which we are."""

    name: str
    step: TimeStep
    length: timedelta
    steps: int

    @property
    def starts(self) -> timedelta:
        """From its first step to the beginning of the last."""
        return self.length * (self.steps - 1)

    def floor(self, moment: datetime) -> datetime:
        """Return the beginning of the step in which a moment lies."""
        whole = moment.replace(second=0, microsecond=0)
        return whole if self.step == "minute" else whole.replace(minute=0)


HOUR = Period("Last hour", "minute", timedelta(minutes=1), 60)
DAY = Period("Last day", "hour", timedelta(hours=1), 24)

_Key = tuple[datetime, State]


class _Kept:
    """Counts of one period; only steps that may have changed are read again."""

    def __init__(self, period: Period) -> None:
        self._period = period
        self._counts: dict[_Key, EndedCount] = {}
        self._read_until: datetime | None = None
        self._before: Sequence[EndedCount] = ()
        self._before_end: datetime | None = None

    async def refresh(self, reader: JobIndexReader, now: datetime) -> None:
        oldest = self._period.floor(now) - self._period.starts
        since = oldest
        if self._read_until is not None:
            since = max(oldest, self._period.floor(self._read_until - LAG))
        fresh = await reader.ended(since=since, step=self._period.step)
        kept = {key: one for key, one in self._counts.items() if oldest <= key[0] < since}
        self._counts = kept | {(one.start, one.state): one for one in fresh}
        self._read_until = now

    async def before(self, reader: JobIndexReader, now: datetime) -> Sequence[EndedCount]:
        """What a day ago ended changes no more: it is read once for each step."""
        end = self._period.floor(now) + self._period.length - A_DAY
        if end != self._before_end:
            since = end - self._period.length * self._period.steps
            self._before = await reader.ended(since=since, until=end, step=self._period.step)
            self._before_end = end
        return self._before

    def counts(self) -> Sequence[EndedCount]:
        return [self._counts[key] for key in sorted(self._counts)]


class EndedReader:
    """Reads the index every two seconds at most, however many ask."""

    def __init__(self, *, reader: JobIndexReader, clock: Clock) -> None:
        self._reader = reader
        self._clock = clock
        self._lock = asyncio.Lock()
        self._kept = {period: _Kept(period) for period in (HOUR, DAY)}
        self._read_at = float("-inf")

    async def read(self, period: Period) -> Sequence[EndedCount]:
        """Return the counts of a period, oldest first.

        Raises:
            BackendUnavailable: the index cannot be read.
        """
        async with self._lock:
            if self._clock.boottime() - self._read_at >= _FRESH_SECONDS:
                now = self._clock.now()
                kept = self._kept.values()
                await asyncio.gather(*(one.refresh(self._reader, now) for one in kept))
                self._read_at = self._clock.boottime()
            return self._kept[period].counts()

    async def before(self, period: Period) -> Sequence[EndedCount]:
        """Return the counts of the same time a day before, oldest first; errors as of ``read``."""
        async with self._lock:
            return await self._kept[period].before(self._reader, self._clock.now())
