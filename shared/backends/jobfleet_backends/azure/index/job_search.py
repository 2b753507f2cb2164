"""Jobs with their current state, found from the open rows or from the timeline."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from jobfleet_backends.azure.audit_trail import AzureAuditTrail
from jobfleet_backends.azure.http.table_reader import Query
from jobfleet_backends.azure.index.event_search import of_type_pattern
from jobfleet_backends.azure.index.index_rows import (
    UNREADABLE,
    entity_to_job_or_stand_in,
    is_confirmed,
    key_time,
    timeline_key,
)
from jobfleet_backends.azure.index.index_table import IndexTable
from jobfleet_backends.azure.index.job_lookup import JobLookup, Property, key_prefix
from jobfleet_backends.azure.index.timeline import Span, Timeline, span_of
from jobfleet_backends.azure.rows import entity_to_event_or_stand_in
from jobfleet_contracts.codec import format_time
from jobfleet_contracts.cursor import JOB_ID, TIME, CursorForm
from jobfleet_contracts.error_group import dead_group_of
from jobfleet_contracts.event import Event
from jobfleet_contracts.index import JobQuery, JobRow, Page
from jobfleet_contracts.state import DEAD, TERMINAL, Status

MAX_OPEN_ROWS = 20_000
"""How many rows of all shards are looked at for one page of jobs that have not ended."""

MAX_ROUNDS = 5
_ROWS_PER_ROUND = 400
_LOOKS_AT_ONCE = 16
_OPEN_CURSOR = "o~"
_OPEN_FORM = CursorForm(f"{_OPEN_CURSOR}({TIME})~({JOB_ID})")


class JobSearch:
    """One page of jobs, last changed first.

    Jobs that have not ended are all in the open rows: they are read, sorted and cut. Others are
    met in the timeline: the first event of a job on the way back is its newest, so one pass gives
    each job once. A search for endings alone also reads redrives, since nothing else takes a job
    on from its end. A page that starts in the middle cannot tell whether a job went on later. So it
    asks the trail for the newest event of each job that it would show, and leaves out jobs that
    have moved up.
    """

    def __init__(self, *, table: IndexTable, timeline: Timeline, trail: AzureAuditTrail) -> None:
        self._table = table
        self._timeline = timeline
        self._trail = trail
        self._lookup = JobLookup(table=table, trail=trail)

    async def page(self, query: JobQuery) -> Page[JobRow]:
        """Return the page."""
        if query.nothing:
            return Page([])
        if query.dead or query.error_group is not None:
            query = replace(query, dead=True, states=(query.states or DEAD) & DEAD)
            if not query.states:
                return Page([])
        if (job_id := _job_id(query.text)) is not None:
            return await self._one(job_id, query)
        if query.error_group is not None:
            return await self._looked_up(Property(f"f-{query.error_group}-", True), query)
        if query.keys:
            first, *others = query.keys.items()
            wanted = Property(key_prefix(*first), False)
            return await self._looked_up(wanted, replace(query, keys=dict(others)))
        by_open_rows = bool(query.states) and not (query.states & TERMINAL)
        if by_open_rows or (query.cursor or "").startswith(_OPEN_CURSOR):
            return await self._open(query)
        return await self._met(query)

    async def _one(self, job_id: str, query: JobQuery) -> Page[JobRow]:
        newest = await self._newest(job_id)
        if newest is None or query.error_group not in (None, dead_group_of(newest)):
            return Page([])
        row = JobRow.of(newest)
        fits = query.fits(row, text=None) and await self._lookup.has_keys(row, query.keys)
        return Page([row] if fits else [])

    async def _looked_up(self, wanted: Property, query: JobQuery) -> Page[JobRow]:
        return await self._lookup.page(
            wanted,
            limit=query.limit,
            cursor=query.cursor,
            since=query.since if wanted.newest_only else None,
            keys=query.keys,
            fits=lambda row: query.fits(row, text=query.text),
        )

    async def _open(self, query: JobQuery) -> Page[JobRow]:
        shards = await asyncio.gather(*(self._open_of(shard) for shard in self._table.shards.names))
        rows = [row for part in shards for row in part if query.fits(row, text=query.text)]
        rows.sort(key=_open_place, reverse=True)
        if query.cursor is not None:
            place = _open_cursor(query.cursor)
            rows = [row for row in rows if _open_place(row) < place]
        kept = rows[: query.limit]
        if len(rows) <= query.limit or not kept:
            return Page(kept)
        time, job_id = _open_place(kept[-1])
        return Page(kept, f"{_OPEN_CURSOR}{time}~{job_id}")

    async def _open_of(self, shard: str) -> list[JobRow]:
        where = "PartitionKey eq @shard and RowKey ge 'o-' and RowKey lt 'o.'"
        query = Query(where, {"shard": shard})
        most = MAX_OPEN_ROWS // self._table.shards.count
        entities = await self._table.first("index.jobs", query, most)
        return [entity_to_job_or_stand_in(entity) for entity in entities if is_confirmed(entity)]

    async def _met(self, query: JobQuery) -> Page[JobRow]:
        span = _narrowed(span_of(query.since, query.until, query.cursor), query)
        must_ask = _asks_trail(query)
        rows: list[JobRow] = []
        seen: set[str] = set()
        for _ in range(MAX_ROUNDS):
            stretch = await self._timeline.newest("index.jobs", span, _ROWS_PER_ROUND)
            events = [entity_to_event_or_stand_in(entity) for entity in stretch.entities]
            for event in await self._current(_firsts(events, seen, query), must_ask, query, rows):
                rows.append(JobRow.of(event))
                if len(rows) > query.limit:
                    return Page(rows[:-1], _cursor(rows[-2], events, span))
            if stretch.end is None:
                return Page(rows)
            span = Span(stretch.end, span.before, span.where, span.values)
        return Page(rows, span.after, key_time(span.after))

    async def _current(
        self, events: Sequence[Event], must_ask: bool, query: JobQuery, rows: Sequence[JobRow]
    ) -> list[Event]:
        """Return those that are the newest of their jobs, as many as the page needs."""
        wanted = query.limit + 1 - len(rows)
        if not must_ask:
            return list(events[:wanted])
        current: list[Event] = []
        for start in range(0, len(events), _LOOKS_AT_ONCE):
            part = events[start : start + _LOOKS_AT_ONCE]
            newest = await asyncio.gather(*(self._newest(event.job_id) for event in part))
            current += [
                event
                for event, last in zip(part, newest, strict=True)
                if last is not None and last.sequence in (event.sequence, 0)
            ]
            if len(current) >= wanted:
                break
        return current[:wanted]

    async def _newest(self, job_id: str) -> Event | None:
        """Return the newest event; a stand-in of sequence 0 if its row cannot be read."""
        try:
            return await self._trail.newest(job_id)
        except UNREADABLE as error:
            return Event.unreadable(job_id, 0, f"{type(error).__name__}: {error}")


def _firsts(events: Sequence[Event], seen: set[str], query: JobQuery) -> list[Event]:
    """Return the newest event of each job not met before, where the job fits."""
    found: list[Event] = []
    for event in events:
        if event.job_id not in seen:
            seen.add(event.job_id)
            if query.fits(JobRow.of(event), text=query.text):
                found.append(event)
    return found


def _cursor(last: JobRow, events: Sequence[Event], span: Span) -> str:
    """The last row shown is of this round, or of an earlier one that this round continues."""
    for event in events:
        if event.job_id == last.facts.job_id and event.sequence == last.sequence:
            return timeline_key(event)
    return span.after


def _asks_trail(query: JobQuery) -> bool:
    return query.cursor is not None or query.until is not None


def _only_endings(query: JobQuery) -> bool:
    return bool(query.states) and query.states <= TERMINAL


def _narrowed(span: Span, query: JobQuery) -> Span:
    if query.job_type is not None:
        span = span.that("TypeKey eq @type", type=query.job_type.casefold())
    span = of_type_pattern(span, query.tests)
    if query.queue is not None:
        span = span.that("Queue eq @queue", queue=query.queue)
    if query.lock_key is not None:
        span = span.that("LockKey eq @key", key=query.lock_key)
    if _only_endings(query):
        states = sorted(state.value for state in query.states)
        names = " or ".join(f"State eq '{state}'" for state in states)
        span = span.that(f"({names} or Status eq '{Status.REDRIVEN}')")
    return span


def _job_id(text: str | None) -> str | None:
    try:
        return str(UUID(text)) if text is not None and len(text) == 36 else None  # noqa: PLR2004
    except ValueError:
        return None


def _open_place(row: JobRow) -> tuple[str, str]:
    return format_time(row.updated_at), row.facts.job_id


def _open_cursor(cursor: str) -> tuple[str, str]:
    time, job_id = _OPEN_FORM.parts(cursor)
    return time, job_id
