"""Questions to the index; what they cost depends on the page, not on what is stored."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import timedelta

from jobfleet_backends.azure.audit_trail import AzureAuditTrail
from jobfleet_backends.azure.entity_table import EntityTable
from jobfleet_backends.azure.index_rows import (
    SHARDS,
    STATE_COLUMNS,
    entity_to_open,
    hour_of,
    is_ghost,
    key_time,
    state_of,
)
from jobfleet_backends.azure.job_search import JobSearch
from jobfleet_backends.azure.live_tail import LiveTail
from jobfleet_backends.azure.rows import entity_to_event
from jobfleet_backends.azure.table_reader import Query, Row, changed_at
from jobfleet_backends.azure.timeline import Span, Timeline, span_of
from jobfleet_contracts.errors import InvalidRequest
from jobfleet_contracts.event import Event
from jobfleet_contracts.index import EventQuery, JobQuery, JobRow, OpenRow, Page, TimelineEntry
from jobfleet_contracts.ports import Clock
from jobfleet_contracts.state import CLAIMABLE, State

COUNTED = timedelta(hours=24)
"""Ended jobs of this time, and of the hour in which it begins, are counted."""

_OPEN = "PartitionKey eq @shard and RowKey gt @after and RowKey lt 'o.'"


class AzureJobIndexReader:
    """Reads open rows, timeline and counters; asks the trail where the index cannot know."""

    def __init__(self, *, table: EntityTable, trail: AzureAuditTrail, clock: Clock) -> None:
        self._table = table
        self._clock = clock
        self._timeline = Timeline(table=table)
        self._tail = LiveTail(timeline=self._timeline, clock=clock)
        self._search = JobSearch(table=table, timeline=self._timeline, trail=trail)

    async def events(self, query: EventQuery) -> Page[Event]:
        """Return a page of the timeline; the cursor is a row key."""
        span = _narrowed(span_of(query.since, query.until, query.cursor), query)
        stretch = await self._timeline.newest("index.events", span, query.limit)
        events = [entity_to_event(entity) for entity in stretch.entities]
        cut_short = stretch.end is not None and len(events) < query.limit
        back_to = key_time(stretch.end) if stretch.end is not None and cut_short else None
        return Page(events, stretch.end, back_to)

    async def since(self, cursor: str | None, limit: int = 500) -> Sequence[TimelineEntry]:
        """Return events after a live cursor; its form is described at ``LiveTail``."""
        return await self._tail.since(cursor, limit)

    async def jobs(self, query: JobQuery) -> Page[JobRow]:
        """Return a page of jobs; how they are found is described at ``JobSearch``."""
        return await self._search.page(query)

    async def counts(self) -> Mapping[State, int]:
        """Return jobs per state.

        Open jobs are counted row by row. Endings come from the writers' hourly counters: those of
        the last 24 hours and of the hour in which they begin. A job that ended more than once,
        by a redrive, counts as often.
        """
        found = await asyncio.gather(
            *(self._count_open(shard) for shard in SHARDS),
            *(self._count_ended(shard) for shard in SHARDS),
        )
        total: Counter[State] = Counter()
        for counted in found:
            total.update(counted)
        return {state: jobs for state, jobs in total.items() if jobs}

    async def open_rows(
        self,
        *,
        states: frozenset[State] | None = None,
        cursor: str | None = None,
        limit: int = 1000,
    ) -> Page[OpenRow]:
        """Return open rows, shard by shard in the order of job ids.

        The cursor is ``<number of the shard>~<row key>``. Of a page that leaves rows out because
        of their state it goes on behind the last row looked at.
        """
        shard, after = _place(cursor)
        rows: list[OpenRow] = []
        left = limit
        while shard < len(SHARDS):
            query = Query(_OPEN, {"shard": SHARDS[shard], "after": after})
            entities = await self._table.first("index.open_rows", query, left)
            found = await self._without_ghosts(entities)
            rows += [row for row in found if states is None or row.state in states]
            if len(entities) == left:
                return Page(rows, f"{shard}~{entities[-1]['RowKey']}")
            left -= len(entities)
            shard, after = shard + 1, "o-"
        return Page(rows)

    async def lock_waiters(self, lock_key: str, limit: int = 10) -> Sequence[OpenRow]:
        """Return open, claimable jobs that name this lock key, longest waiting first."""
        found = await asyncio.gather(*(self._waiters(shard, lock_key) for shard in SHARDS))
        rows = [row for part in found for row in part if row.state in CLAIMABLE]
        rows.sort(key=lambda row: (row.opened_at, row.facts.job_id))
        return rows[:limit]

    async def _waiters(self, shard: str, lock_key: str) -> list[OpenRow]:
        values = {"shard": shard, "after": "o-", "key": lock_key}
        query = Query(f"{_OPEN} and LockKey eq @key", values)
        entities = await self._table.first("index.lock_waiters", query, 1000)
        return [entity_to_open(entity) for entity in entities if not is_ghost(entity)]

    async def _count_open(self, shard: str) -> Counter[State]:
        query = Query(_OPEN, {"shard": shard, "after": "o-"}, STATE_COLUMNS)
        counted: Counter[State] = Counter()
        async for page in self._table.pages("index.counts", query):
            counted.update(state_of(entity) for entity in page if not is_ghost(entity))
        return counted

    async def _count_ended(self, shard: str) -> Counter[State]:
        first = f"c-{hour_of(self._clock.now() - COUNTED)}"
        where = "PartitionKey eq @shard and RowKey ge @first and RowKey lt 'c.'"
        query = Query(where, {"shard": shard, "first": first})
        counted: Counter[State] = Counter()
        async for page in self._table.pages("index.counts", query):
            for entity in page:
                for state in State:
                    counted[state] += entity.get(state.value, 0)
        return counted

    async def _without_ghosts(self, entities: Sequence[Row]) -> list[OpenRow]:
        """Sweep out on the way what late hints left behind; nothing depends on it."""
        for entity in entities:
            if is_ghost(entity) and self._is_old(entity):
                await self._table.sweep("index.sweep", entity)
        return [entity_to_open(entity) for entity in entities if not is_ghost(entity)]

    def _is_old(self, entity: Row) -> bool:
        stamp = changed_at(entity)
        return stamp is not None and self._clock.now() - stamp > timedelta(minutes=1)


def _narrowed(span: Span, query: EventQuery) -> Span:
    if query.status == "Step":
        span = span.that("Status ge 'Step ' and Status lt 'Step!'")
    elif query.status is not None:
        span = span.that("Status eq @status", status=query.status)
    if query.job_type is not None:
        span = span.that("JobType eq @type", type=query.job_type)
    if query.job_name is not None:
        span = span.that("JobName eq @name", name=query.job_name)
    return span


def _place(cursor: str | None) -> tuple[int, str]:
    if cursor is None:
        return 0, "o-"
    shard, _, after = cursor.partition("~")
    if not (shard.isdecimal() and int(shard) < len(SHARDS) and after.startswith("o-")):
        raise InvalidRequest("cursor: not one that this list gave", field="cursor")
    return int(shard), after
