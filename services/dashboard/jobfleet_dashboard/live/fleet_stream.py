"""The fleet's events as they happen, with a resume that misses nothing of the last minute."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta

import structlog

from jobfleet_contracts.errors import BackendError, InvalidRequest
from jobfleet_contracts.index import EventQuery, TimelineEntry
from jobfleet_contracts.ports import Clock, JobIndexReader
from jobfleet_dashboard.live.hub import LiveHub

RESUME_SHORTENED = "stream.resume_shortened"
RESUME_WINDOW = timedelta(seconds=60)
_PAGE = 500
_MAX_PAGES = 10
_MAX_RECENT = 1000

_log = structlog.get_logger()


async def fleet_events(
    *, reader: JobIndexReader, live: LiveHub, clock: Clock, cursor: str | None
) -> AsyncIterator[Sequence[TimelineEntry]]:
    """Yield batches of events, oldest first, each with the cursor to resume by.

    Without a cursor it begins now. With one it goes on there and reads the last 60 s again,
    since rows of the index may land late: the client drops the event ids that it knows. A
    client that was away for more than 5,000 events gets the last 60 s only.
    """
    async with live.subscribe() as news:
        if cursor is not None:
            for batch in await _missed(reader, clock, cursor):
                yield batch
        async for batch in news:
            yield batch


async def _missed(
    reader: JobIndexReader, clock: Clock, cursor: str
) -> Sequence[Sequence[TimelineEntry]]:
    try:
        recent = await _recent(reader, clock, cursor)
        following = await _following(reader, cursor)
    except BackendError as error:
        _log.warning(RESUME_SHORTENED, error=str(error))
        return ()
    known = {entry.event.event_id for entry in following}
    again = [entry for entry in recent if entry.event.event_id not in known]
    return [batch for batch in (again, following) if batch]


async def _recent(reader: JobIndexReader, clock: Clock, cursor: str) -> list[TimelineEntry]:
    """What was read before may have had gaps: the same minute again, at the old cursor."""
    query = EventQuery(since=clock.now() - RESUME_WINDOW, limit=_MAX_RECENT)
    page = await reader.events(query)
    return [TimelineEntry(event, cursor) for event in reversed(page.items)]


async def _following(reader: JobIndexReader, cursor: str) -> list[TimelineEntry]:
    entries: list[TimelineEntry] = []
    for _ in range(_MAX_PAGES):
        try:
            page = await reader.since(cursor, limit=_PAGE)
        except (InvalidRequest, ValueError):
            return []
        entries += page
        if len(page) < _PAGE:
            return entries
        cursor = page[-1].cursor
    _log.info(RESUME_SHORTENED, events=len(entries))
    return []
