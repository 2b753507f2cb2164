"""Failures by their groups, added up over all writers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime

from jobfleet_backends.azure.http.table_reader import Row
from jobfleet_backends.azure.index.error_counter import (
    ERROR_COLUMNS,
    error_counters,
    hour_of,
    read_group,
)
from jobfleet_backends.azure.index.index_rows import UNREADABLE
from jobfleet_backends.azure.index.index_table import IndexTable
from jobfleet_contracts.error_group import ErrorGroup, ErrorSummary, merged
from jobfleet_contracts.index import TimeStep

MOST_ROWS = 20_000
"""How many rows of all shards are read for one answer; the newest hours come first."""


class ErrorGroups:
    """What an answer costs: a request per 1,000 rows; a row per hour, writer and group."""

    def __init__(self, *, table: IndexTable) -> None:
        self._table = table
        self._most_rows = MOST_ROWS // table.shards.count

    async def read(self, since: datetime, step: TimeStep) -> ErrorSummary:
        """Return the groups since the step in which a moment lies."""
        names = self._table.shards.names
        shards = await asyncio.gather(*(self._rows(name, since, step) for name in names))
        begin = since.replace(second=0, microsecond=0)
        if step == "hour":
            begin = begin.replace(minute=0)
        found: list[ErrorGroup] = []
        for entity in (entity for rows in shards for entity in rows):
            with suppress(*UNREADABLE):  # of one writer's hour; the others still count
                if (group := read_group(entity, step, begin)) is not None:
                    found.append(group)
        return ErrorSummary(merged(found), _counted_back_to(shards, self._most_rows))

    async def _rows(self, shard: str, since: datetime, step: TimeStep) -> Sequence[Row]:
        columns = (*ERROR_COLUMNS, "Minutes") if step == "minute" else ERROR_COLUMNS
        query = error_counters(shard, since=since, columns=columns)
        return await self._table.first("index.errors", query, self._most_rows)


def _counted_back_to(shards: Sequence[Sequence[Row]], most: int) -> datetime | None:
    """Return the latest of the hours at which a shard had too many rows."""
    ends = [hour_of(rows[-1]) for rows in shards if len(rows) >= most]
    return max(ends, default=None)
