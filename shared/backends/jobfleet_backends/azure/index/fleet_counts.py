"""Counts of jobs: open ones row by row, ended ones from the writers' counters."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from jobfleet_backends.azure.http.table_reader import Query, Row
from jobfleet_backends.azure.index.ended_counter import (
    counters,
    read_hour,
    read_minutes,
)
from jobfleet_backends.azure.index.index_rows import (
    UNREADABLE,
    is_confirmed,
    readable_open_rows,
    state_of,
)
from jobfleet_backends.azure.index.index_table import IndexTable
from jobfleet_contracts.index import Census, EndedCount, OpenRow, TimeStep
from jobfleet_contracts.ports import Clock
from jobfleet_contracts.state import TERMINAL, State

COUNTED = timedelta(hours=24)
"""Ended jobs of this time, and of the hour in which it begins, are counted."""

_OPEN = "PartitionKey eq @shard and RowKey gt 'o-' and RowKey lt 'o.'"
_HOUR_COLUMNS = (
    "RowKey",
    *(f"{state.value}{number}" for state in sorted(TERMINAL) for number in ("", "Timed", "Ms")),
)
_Key = tuple[datetime, State]


@dataclass(slots=True)
class _Tally:
    counts: Counter[State] = field(default_factory=Counter)
    longest: dict[str, Row] = field(default_factory=dict)
    queued: Counter[str] = field(default_factory=Counter)

    def add(self, entities: Iterable[Row]) -> None:
        for entity in entities:
            if is_confirmed(entity):
                self._add(entity)

    def _add(self, entity: Row) -> None:
        state = state_of(entity)
        if state is None:
            return
        self.counts[state] += 1
        if state is not State.QUEUED:
            return
        self.queued[str(entity.get("Queue"))] += 1
        if not isinstance(entity.get("OpenedAt"), datetime):
            return
        known = self.longest.get(str(entity.get("Queue")))
        if known is None or entity["OpenedAt"] < known["OpenedAt"]:
            self.longest[str(entity.get("Queue"))] = entity

    def rows(self) -> dict[str, OpenRow]:
        return {row.facts.queue: row for row in readable_open_rows(self.longest.values())}


class FleetCounts:
    """What a count costs: a request per 1,000 open rows of a shard, and one for its counters."""

    def __init__(self, *, table: IndexTable, clock: Clock) -> None:
        self._table = table
        self._clock = clock

    async def census(self) -> Census:
        """Return jobs per state, and of each queue how many are queued and which one longest.

        Open jobs are counted row by row. Endings are those of the last 24 hours and of the hour in
        which they begin. A job that ended more than once, by a redrive, counts as often.
        """
        tally = _Tally()
        await asyncio.gather(*(self._tally(shard, tally) for shard in self._table.shards.names))
        for counted in await self.ended(self._clock.now() - COUNTED, "hour"):
            tally.counts[counted.state] += counted.jobs
        counts = {state: jobs for state, jobs in tally.counts.items() if jobs}
        return Census(counts, tally.rows(), tally.queued)

    async def ended(
        self, since: datetime, step: TimeStep, until: datetime | None = None
    ) -> Sequence[EndedCount]:
        """Return what ended in each step, over all writers, oldest first."""
        total: dict[_Key, EndedCount] = {}
        names = self._table.shards.names
        counted = (self._counted(shard, since, step, until) for shard in names)
        for found in await asyncio.gather(*counted):
            for one in found:
                key = one.start, one.state
                total[key] = _sum(total[key], one) if key in total else one
        return [total[key] for key in sorted(total)]

    async def _tally(self, shard: str, tally: _Tally) -> None:
        async for page in self._table.pages("index.counts", Query(_OPEN, {"shard": shard})):
            tally.add(page)

    async def _counted(
        self, shard: str, since: datetime, step: TimeStep, until: datetime | None
    ) -> list[EndedCount]:
        by_minute = step == "minute"
        columns = ("RowKey", "Minutes") if by_minute else _HOUR_COLUMNS
        end = None if until is None else until + timedelta(hours=1)
        query = counters(shard, since=since, end=end, columns=columns)
        read = read_minutes if by_minute else read_hour
        found: list[EndedCount] = []
        async for page in self._table.pages("index.ended", query):
            for entity in page:
                with suppress(*UNREADABLE):  # of one writer's hour; the others still count
                    found += read(entity)
        first_minute = since.replace(second=0, microsecond=0)
        return [
            one
            for one in found
            if (not by_minute or one.start >= first_minute) and (until is None or one.start < until)
        ]


def _sum(one: EndedCount, other: EndedCount) -> EndedCount:
    return EndedCount(
        one.start,
        one.state,
        one.jobs + other.jobs,
        one.timed + other.timed,
        one.duration_ms + other.duration_ms,
    )
