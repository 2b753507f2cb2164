"""What ``jobfleet jobs watch`` looks at: the fleet of the configured backend, or one elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from jobfleet_cli.session import Session
from jobfleet_cli.trail_reading import history_of
from jobfleet_contracts.event import Event
from jobfleet_contracts.index import EventQuery
from jobfleet_contracts.state import State
from jobfleet_contracts.worker_status import WorkerStatus
from jobfleet_protocol.reading.readable_trail import ReadableTrail

LOOK_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class FleetNow:
    """Counts and workers at one moment."""

    now: datetime
    counts: Mapping[State, int]
    workers: Sequence[WorkerStatus]


class Fleet(Protocol):
    """A fleet that can be watched; all events are masked."""

    def events_of(self, job_id: str) -> AsyncIterator[Event]:
        """Yield the events of a job, from the first one to its end.

        Raises:
            UnknownJob: no trail exists for this id.
        """
        ...

    def events(self) -> AsyncIterator[Sequence[Event]]:
        """Yield what is new each half second, nothing included; first the newest event."""
        ...

    async def recent(self, limit: int) -> Sequence[Event]:
        """Return the newest events, newest first."""
        ...

    async def look(self) -> FleetNow:
        """Return counts and workers."""
        ...


class FleetHere:
    """Reads the storage."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def events_of(self, job_id: str) -> AsyncIterator[Event]:
        """Yield the events of a job until its end; each look reads what has come since."""
        trail = self._session.backend.trail
        events: Sequence[Event] = await history_of(trail, job_id)
        while True:
            for event in events:
                yield event.masked()
                last = event
            if last.is_readable and last.after.state.is_terminal:
                return
            await asyncio.sleep(LOOK_SECONDS)
            events = await ReadableTrail(trail).history(job_id, after=last.sequence)

    async def events(self) -> AsyncIterator[Sequence[Event]]:
        """Yield what the timeline's end gained."""
        cursor: str | None = None
        while True:
            entries = await self._session.backend.reader.since(cursor)
            if entries:
                cursor = entries[-1].cursor
            yield [entry.event.masked() for entry in entries]
            await asyncio.sleep(LOOK_SECONDS)

    async def recent(self, limit: int) -> Sequence[Event]:
        """Return a page of the timeline."""
        page = await self._session.backend.reader.events(EventQuery(limit=limit))
        return [event.masked() for event in page.items]

    async def look(self) -> FleetNow:
        """Read index and directory."""
        backend = self._session.backend
        counts, workers = await asyncio.gather(backend.reader.counts(), backend.directory.workers())
        return FleetNow(self._session.clock.now(), counts, workers)
