"""Reads how many jobs ended in each minute of the last hour."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from jobfleet_contracts.event import Event
from jobfleet_contracts.index import EventQuery
from jobfleet_contracts.ports import Clock, JobIndexReader
from jobfleet_contracts.state import Status
from jobfleet_dashboard.views.throughput_chart import Bucket

MINUTES = 60
_ENDINGS = (Status.COMPLETED, Status.FAILED, Status.TIMED_OUT, Status.CANCELLED)
_MINUTE = timedelta(minutes=1)
_PAGE = 1000
_MAX_PAGES = 5
"""At most 5,000 endings of a kind are read at once, however many there were."""
_FRESH_SECONDS = 2.0
_REREAD = 2
"""The newest minutes are read again: the index may lag."""


class ThroughputReader:
    """Keeps finished minutes and reads only the newest ones again, every two seconds at most."""

    def __init__(self, *, reader: JobIndexReader, clock: Clock) -> None:
        self._reader = reader
        self._clock = clock
        self._lock = asyncio.Lock()
        self._minutes: dict[datetime, Bucket] = {}
        self._read_at = float("-inf")

    async def read(self) -> Sequence[Bucket]:
        """Return 60 buckets, oldest first.

        Raises:
            BackendUnavailable: the index cannot be read.
        """
        async with self._lock:
            if self._clock.boottime() - self._read_at >= _FRESH_SECONDS:
                await self._refresh()
                self._read_at = self._clock.boottime()
            return self._hour()

    def _hour(self) -> Sequence[Bucket]:
        newest = _minute_of(self._clock.now())
        starts = (newest - _MINUTE * n for n in reversed(range(MINUTES)))
        return [self._minutes.get(start, Bucket(start)) for start in starts]

    async def _refresh(self) -> None:
        newest = _minute_of(self._clock.now())
        back = _REREAD if self._minutes else MINUTES - 1
        since = newest - _MINUTE * back
        oldest = newest - _MINUTE * (MINUTES - 1)
        fresh = {newest: Bucket(newest)}
        for events in await asyncio.gather(*(self._ended(kind, since) for kind in _ENDINGS)):
            for event in events:
                start = _minute_of(event.occurred_at)
                fresh[start] = _count(fresh.get(start, Bucket(start)), event)
        kept = {start: b for start, b in self._minutes.items() if oldest <= start < since}
        self._minutes = kept | fresh

    async def _ended(self, kind: Status, since: datetime) -> Sequence[Event]:
        query = EventQuery(status=kind.value, since=since, limit=_PAGE)
        found: list[Event] = []
        for _ in range(_MAX_PAGES):
            page = await self._reader.events(query)
            found += page.items
            if page.next is None:
                break
            query = replace(query, cursor=page.next)
        return found


def _minute_of(moment: datetime) -> datetime:
    return moment.replace(second=0, microsecond=0)


def _count(bucket: Bucket, event: Event) -> Bucket:
    kind = event.kind
    return replace(
        bucket,
        completed=bucket.completed + (kind is Status.COMPLETED),
        failed=bucket.failed + (kind is Status.FAILED),
        timed_out=bucket.timed_out + (kind is Status.TIMED_OUT),
        cancelled=bucket.cancelled + (kind is Status.CANCELLED),
        busy_ms=bucket.busy_ms + (event.duration_ms or 0),
    )
