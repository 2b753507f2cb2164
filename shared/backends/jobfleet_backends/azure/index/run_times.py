"""How long attempts waited and ran, over all writers."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import datetime

from jobfleet_backends.azure.index.ended_counter import counters, hour_of_counter
from jobfleet_backends.azure.index.index_rows import UNREADABLE
from jobfleet_backends.azure.index.index_table import IndexTable
from jobfleet_backends.azure.index.type_counter import (
    SLOWEST_COLUMN,
    TIMES_COLUMNS,
    read_slowest,
    read_types,
)
from jobfleet_contracts.run_times import (
    RunTimes,
    SlowRun,
    TypeTimes,
    merged_times,
    slowest_of_each_hour,
    step_of_time,
)

_COLUMNS = ("RowKey", *TIMES_COLUMNS, SLOWEST_COLUMN)


async def read_run_times(table: IndexTable, since: datetime) -> RunTimes:
    """Return the times since the ten minutes in which a moment lies.

    It costs a request per 1,000 rows of a shard; a row per hour and writer.
    """
    begin = step_of_time(since)
    types: list[TypeTimes] = []
    slowest: list[SlowRun] = []

    async def read(shard: str) -> None:
        query = counters(shard, since=begin, columns=_COLUMNS)
        async for page in table.pages("index.run_times", query):
            for entity in page:
                with suppress(*UNREADABLE):  # of one writer's hour; the others still count
                    types.extend(read_types(entity, hour_of_counter(entity)))
                    slowest.extend(read_slowest(entity))

    await asyncio.gather(*(read(shard) for shard in table.shards.names))
    return RunTimes(
        merged_times(each for each in types if each.start >= begin),
        slowest_of_each_hour(run for run in slowest if run.ended_at >= begin),
    )
