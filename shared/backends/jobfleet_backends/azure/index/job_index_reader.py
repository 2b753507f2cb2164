"""Questions to the index; what they cost depends on the page, not on what is stored."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

import structlog

from jobfleet_backends.azure.audit_trail import AzureAuditTrail
from jobfleet_backends.azure.http.table_reader import Query, Row, changed_at
from jobfleet_backends.azure.index.error_groups import ErrorGroups
from jobfleet_backends.azure.index.event_search import EventSearch
from jobfleet_backends.azure.index.fleet_counts import FleetCounts
from jobfleet_backends.azure.index.index_rows import (
    entity_to_open,
    is_orphaned,
)
from jobfleet_backends.azure.index.index_table import IndexTable
from jobfleet_backends.azure.index.job_search import JobSearch
from jobfleet_backends.azure.index.live_tail import LiveTail
from jobfleet_backends.azure.index.lock_queues import LockQueues
from jobfleet_backends.azure.index.run_times import read_run_times
from jobfleet_backends.azure.index.timeline import Timeline
from jobfleet_contracts.cursor import JOB_ID, NUMBER, CursorForm, foreign_cursor
from jobfleet_contracts.error_group import ErrorSummary
from jobfleet_contracts.errors import InvalidRequest
from jobfleet_contracts.event import Event
from jobfleet_contracts.index import (
    Census,
    EndedCount,
    EventQuery,
    JobQuery,
    JobRow,
    LockUse,
    OpenRow,
    Page,
    TimelineEntry,
    TimeStep,
)
from jobfleet_contracts.ports import Clock
from jobfleet_contracts.run_times import RunTimes
from jobfleet_contracts.state import State

OPEN_ROW_UNREADABLE = "open_row.unreadable"
_OPEN = "PartitionKey eq @shard and RowKey gt @after and RowKey lt 'o.'"


_OPEN_CURSOR = CursorForm(f"({NUMBER})~(o-{JOB_ID}-[0-9]+)")

_log = structlog.get_logger()


class AzureJobIndexReader:
    """Reads open rows, timeline and counters; asks the trail where the index cannot know."""

    def __init__(self, *, table: IndexTable, trail: AzureAuditTrail, clock: Clock) -> None:
        self._table = table
        self._clock = clock
        timeline = Timeline(table=table)
        self._events = EventSearch(timeline=timeline)
        self._tail = LiveTail(timeline=timeline, clock=clock)
        self._search = JobSearch(table=table, timeline=timeline, trail=trail)
        self._counts = FleetCounts(table=table, clock=clock)
        self._errors = ErrorGroups(table=table)
        self._locks = LockQueues(table=table)
        self._unreadable: set[str] = set()

    async def events(self, query: EventQuery) -> Page[Event]:
        """Return a page of the timeline; how they are found is described at ``EventSearch``."""
        return await self._events.page(query)

    async def since(self, cursor: str | None, limit: int = 500) -> Sequence[TimelineEntry]:
        """Return events after a live cursor; its form is described at ``LiveTail``."""
        return await self._tail.since(cursor, limit)

    async def jobs(self, query: JobQuery) -> Page[JobRow]:
        """Return a page of jobs; how they are found is described at ``JobSearch``."""
        return await self._search.page(query)

    async def counts(self) -> Mapping[State, int]:
        """Return jobs per state, as the census does."""
        return (await self._counts.census()).counts

    async def census(self) -> Census:
        """Return the counts and who has been queued longest; see ``FleetCounts``."""
        return await self._counts.census()

    async def ended(
        self, *, since: datetime, step: TimeStep, until: datetime | None = None
    ) -> Sequence[EndedCount]:
        """Return what ended in each step, from the writers' counters."""
        return await self._counts.ended(since, step, until)

    async def errors(self, *, since: datetime, step: TimeStep) -> ErrorSummary:
        """Return failures by their groups, from the writers' rows; see ``ErrorGroups``."""
        return await self._errors.read(since, step)

    async def run_times(self, *, since: datetime) -> RunTimes:
        """Return how long attempts waited and ran, from the writers' counters."""
        return await read_run_times(self._table, since)

    async def lock_uses(self, *, limit: int = 100, waiters: int = 10) -> Sequence[LockUse]:
        """Return lock keys that open jobs name; from up to 20,000 open rows."""
        return await self._locks.uses(limit, waiters)

    async def open_rows(
        self,
        *,
        states: frozenset[State] | None = None,
        cursor: str | None = None,
        limit: int = 1000,
    ) -> Page[OpenRow]:
        """Return open rows, shard by shard in the order of job ids.

        The cursor is ``<number of the shard>~<row key>``. If a page leaves rows out because of
        their state, the cursor goes on behind the last row looked at.
        """
        shards = self._table.shards.names
        shard, after = _place(cursor, len(shards))
        rows: list[OpenRow] = []
        left = limit
        while shard < len(shards):
            query = Query(_OPEN, {"shard": shards[shard], "after": after})
            entities = await self._table.first("index.open_rows", query, left)
            found = await self._without_orphaned(entities)
            rows += [row for row in found if states is None or row.state in states]
            if len(entities) == left:
                return Page(rows, f"{shard}~{entities[-1]['RowKey']}")
            left -= len(entities)
            shard, after = shard + 1, "o-"
        return Page(rows)

    async def lock_waiters(
        self, lock_key: str, *, slots: int = 1, limit: int = 10
    ) -> Sequence[OpenRow]:
        """Return open, claimable jobs of this lock key and slots, longest waiting first."""
        return await self._locks.waiters(lock_key, slots, limit)

    async def lock_slots(self, lock_key: str) -> frozenset[int]:
        """Return the numbers of slots that open jobs name with this lock key."""
        return await self._locks.slots(lock_key)

    async def _without_orphaned(self, entities: Sequence[Row]) -> list[OpenRow]:
        """Sweep out on the way what late hints left behind; nothing depends on it."""
        for entity in entities:
            if is_orphaned(entity) and self._is_old(entity):
                await self._table.sweep("index.sweep", entity)
        return list(self._readable(entity for entity in entities if not is_orphaned(entity)))

    def _readable(self, entities: Iterable[Row]) -> Iterator[OpenRow]:
        """The index is a copy: a row in it that cannot be read must not hide all others."""
        for entity in entities:
            try:
                yield entity_to_open(entity)
            except (ValueError, KeyError, TypeError, AttributeError, InvalidRequest) as error:
                key = str(entity["RowKey"])
                if key not in self._unreadable:
                    _log.warning(OPEN_ROW_UNREADABLE, row=key, error=str(error))
                    self._unreadable.add(key)

    def _is_old(self, entity: Row) -> bool:
        stamp = changed_at(entity)
        return stamp is not None and self._clock.now() - stamp > timedelta(minutes=1)


def _place(cursor: str | None, shards: int) -> tuple[int, str]:
    if cursor is None:
        return 0, "o-"
    shard, after = _OPEN_CURSOR.parts(cursor)
    if int(shard) >= shards:
        raise foreign_cursor()
    return int(shard), after
