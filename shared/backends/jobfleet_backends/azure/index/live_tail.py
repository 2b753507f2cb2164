"""New events for live views, in the order in which this process came to see them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import uuid4

from jobfleet_backends.azure.http.entity_table import PAGE_ROWS
from jobfleet_backends.azure.index.index_rows import time_key
from jobfleet_backends.azure.index.timeline import Span, Timeline
from jobfleet_backends.azure.rows import entity_to_event_or_stand_in
from jobfleet_contracts.cursor import NUMBER, CursorForm
from jobfleet_contracts.event import UNREADABLE, Event
from jobfleet_contracts.index import TimelineEntry
from jobfleet_contracts.ports import Clock

OVERLAP = timedelta(seconds=60)
"""Copies of events may come late and out of order: each look goes back as far as this."""

_CURSOR = CursorForm(rf"([0-9a-f]{{8}})\.({NUMBER})\.([0-9]{{1,16}})")
_ROWS_PER_LOOK = PAGE_ROWS - 1
"""Rows of each shard. With the one that tells whether there are more, it is one request's page."""
_KEPT = 5000


class LiveTail:
    """One look at the timeline serves all viewers.

    A cursor is ``<tail>.<arrival>.<microseconds>``: which tail (a process's), the how manieth event
    it saw, and the event's time. In the same tail it resumes exactly. Another process, after a
    restart or at another replica, sends the last 60 s before the event again. The client drops
    event ids that it knows.
    """

    def __init__(self, *, timeline: Timeline, clock: Clock) -> None:
        self._timeline = timeline
        self._clock = clock
        self._name = uuid4().hex[:8]
        self._entries: deque[tuple[int, Event]] = deque(maxlen=_KEPT)
        self._known: set[str] = set()
        self._arrivals = 0
        self._newest: datetime | None = None
        self._looked = float("-inf")
        self._looking = asyncio.Lock()

    async def since(self, cursor: str | None, limit: int) -> Sequence[TimelineEntry]:
        """Return events after a cursor in order of arrival; ``None``: only the newest one."""
        place = None if cursor is None else _parse(cursor)
        await self._look()
        if place is None:
            newest = max(self._entries, key=lambda entry: entry[1].occurred_at, default=None)
            return [] if newest is None else [self._entry(self._arrivals, newest[1])]
        tail, arrival, moment = place
        oldest_kept = self._entries[0][0] if self._entries else self._arrivals + 1
        if tail == self._name and arrival >= oldest_kept - 1:
            fresh = [entry for entry in self._entries if entry[0] > arrival]
            return [self._entry(*entry) for entry in fresh[:limit]]
        return await self._resume(moment, limit)

    async def _resume(self, moment: datetime, limit: int) -> Sequence[TimelineEntry]:
        """The last event given stands for all arrivals until now."""
        span = Span(before=time_key(moment - OVERLAP) + "-~")
        arrivals = self._arrivals
        stretch = await self._timeline.newest("index.resume", span, max(limit, 1))
        events = [entity_to_event_or_stand_in(entity) for entity in reversed(stretch.entities)]
        return [self._entry(arrivals, event) for event in events]

    async def _look(self) -> None:
        """Look at what came; who waited here while another looked afresh need not look too."""
        loop = asyncio.get_running_loop()
        asked = loop.time()
        async with self._looking:
            if self._looked > asked:
                return
            self._looked = loop.time()
            if self._newest is None:
                await self._find_newest()
            if self._newest is None:
                return
            # A writer whose clock runs ahead must not hide what others write now.
            bound = min(self._newest, self._clock.now()) - OVERLAP
            span = Span(before=time_key(bound) + "-~")
            stretch = await self._timeline.newest("index.look", span, _ROWS_PER_LOOK)
            for entity in reversed(stretch.entities):
                if entity.get("EventId") in self._known:
                    continue
                event = entity_to_event_or_stand_in(entity)
                if event.status != UNREADABLE:
                    self._arrived(event)

    async def _find_newest(self) -> None:
        stretch = await self._timeline.newest("index.look", Span(), 1)
        for entity in stretch.entities:
            self._newest = entity_to_event_or_stand_in(entity).occurred_at

    def _arrived(self, event: Event) -> None:
        if len(self._entries) == _KEPT:
            self._known.discard(self._entries[0][1].event_id)
        self._arrivals += 1
        self._entries.append((self._arrivals, event))
        self._known.add(event.event_id)
        if self._newest is None or event.occurred_at > self._newest:
            self._newest = event.occurred_at

    def _entry(self, arrival: int, event: Event) -> TimelineEntry:
        micros = round(event.occurred_at.timestamp() * 1_000_000)
        return TimelineEntry(event, f"{self._name}.{arrival}.{micros}")


def _parse(cursor: str) -> tuple[str, int, datetime]:
    tail, arrival, micros = _CURSOR.parts(cursor)
    return tail, int(arrival), datetime.fromtimestamp(int(micros) / 1_000_000).astimezone()
