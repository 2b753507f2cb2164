"""Writer of the index: what the trail has already, put together into few requests."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Generator, Sequence
from datetime import datetime, timedelta
from typing import Any

from jobfleet_backends.azure.http.azure_errors import StorageRefused
from jobfleet_backends.azure.http.entity_table import MERGE
from jobfleet_backends.azure.http.table_reader import Query
from jobfleet_backends.azure.index.ended_counter import EndedCounter, counters
from jobfleet_backends.azure.index.error_counter import ErrorCounter, error_counters
from jobfleet_backends.azure.index.index_rows import (
    event_hint,
    event_to_timeline,
    is_confirmed,
    is_orphaned,
    open_key,
    open_to_entity,
    published_hint,
    row_identity,
)
from jobfleet_backends.azure.index.index_shard import Arrivals, IndexShard, Pace
from jobfleet_backends.azure.index.index_table import IndexTable
from jobfleet_backends.azure.index.job_lookup import key_rows
from jobfleet_backends.azure.index.opening_batch import OpeningBatch
from jobfleet_backends.azure.index.type_counter import NO_TIMES, with_times
from jobfleet_backends.azure.rows import plain_time
from jobfleet_contracts.event import Event
from jobfleet_contracts.index import OpenRow

STOP_SECONDS = 5.0
_REMEMBERED_ROWS = 20_000
_CLOSED = 1 << 62
_TRIMMED_ROWS = 1000
_TRIMMED_SPAN = timedelta(days=2)
_SETTLED_AFTER = timedelta(minutes=10)
"""After an hour's end: by then every writer has stored its counts of the hour."""


class AzureJobIndex:
    """Shards, each with one transaction on its way; belongs to one event loop."""

    def __init__(self, *, table: IndexTable, pace: Pace | None = None) -> None:
        self._table, self._places = table, table.shards
        self._openings = OpeningBatch(table=table)
        pace, arrivals = pace or Pace(), Arrivals()
        self._shards = {
            name: IndexShard(table=table, partition=name, pace=pace, arrivals=arrivals)
            for name in table.shards.names
        }
        self._newest: dict[str, int] = {}
        self._ended = EndedCounter(shards=table.shards)
        self._errors = ErrorCounter(shards=table.shards)
        self._trimmed_before: datetime | None = None

    async def open(self, row: OpenRow) -> None:
        """Insert the row before anything that waits: its event must not stand before it."""
        entity = open_to_entity(row, self._places.of(row.facts.job_id))
        self._newest.pop(entity["RowKey"], None)
        try:
            await self._openings.insert(entity)
        except StorageRefused as refusal:
            if not refusal.is_conflict:
                raise
            await self._revive(entity)

    async def _revive(self, entity: dict[str, Any]) -> None:
        """Where only a late hint stands in the place of the row, make it one.

        A row without its event counts as opened now: a reader of the older row may not discard it.
        """
        keys = entity["PartitionKey"], entity["RowKey"]
        known = await self._table.get("index.open", *keys)
        if known is None or is_orphaned(known):
            await self._table.upsert("index.open", entity, MERGE)
        elif not is_confirmed(known):
            opened = {name: entity[name] for name in ("PartitionKey", "RowKey", "OpenedAt")}
            await self._table.upsert("index.open", opened, MERGE)

    def record(self, events: Sequence[Event]) -> Awaitable[None]:
        """Queue copies for the timeline, hints for the open rows, endings and errors to count."""
        partitions: set[str] = set()
        for event in events:
            name = self._places.of(event.job_id)
            partitions.add(name)
            shard = self._shards[name]
            shard.replace(event_to_timeline(event, name))
            if not event.after.state.is_terminal:
                self._hint(shard, name, event)
            for counted in self._ended.count(event):
                shard.merge(counted)
            for row in (*self._errors.count(event), *key_rows(event, name)):
                self._shards[row["PartitionKey"]].replace(row)
                partitions.add(row["PartitionKey"])
        return self._stored(partitions)

    def published(self, job_id: str, incarnation: int, sequence: int) -> Awaitable[None]:
        """Queue the mark, unless the row was closed here."""
        row_key, partition = open_key(job_id, incarnation), self._places.of(job_id)
        if self._newest.get(row_key, 0) < _CLOSED:
            self._shards[partition].merge(
                {**row_identity(partition, job_id, incarnation), **published_hint(sequence)}
            )
        return self._stored({partition})

    def close(self, job_id: str, incarnation: int) -> Awaitable[None]:
        """Queue the removal; later hints of this process are dropped."""
        row_key, partition = open_key(job_id, incarnation), self._places.of(job_id)
        self._remember(row_key, _CLOSED)
        self._shards[partition].remove(row_key)
        return self._stored({partition})

    async def discard(self, row: OpenRow) -> None:
        """Remove a row whose event never came, under its ETag."""
        shard = self._places.of(row.facts.job_id)
        identity = row_identity(shard, row.facts.job_id, row.incarnation)
        where = Query("PartitionKey eq @PartitionKey and RowKey eq @RowKey", identity)
        for known in await self._table.first("index.discard", where, 1):
            if is_orphaned(known) or is_confirmed(known):
                return
            if plain_time(known["OpenedAt"]) == row.opened_at:
                await self._table.sweep("index.discard", known)

    async def begin_rebuild(self, *, now: datetime) -> None:
        """Remove all writers' counts of the hours that ended ten minutes ago or earlier.

        This writer counts no later event: the writer that recorded it first holds its count.
        """
        before = (now - _SETTLED_AFTER).replace(minute=0, second=0, microsecond=0)
        self._ended = EndedCounter(shards=self._places, before=before)
        self._errors = ErrorCounter(shards=self._places, before=before)
        for name, shard in self._shards.items():
            for query in (counters(name, end=before), error_counters(name, before=before)):
                async for page in self._table.pages("index.recount", query):
                    for entity in page:
                        shard.remove(entity["RowKey"])
        await self.flush()

    async def trim(self, *, before: datetime) -> None:
        """Remove error groups of the hours before, and how long attempts of them ran.

        A call takes 1,000 rows of each shard. Once an hour it looks at two days of counted endings.
        """
        hour = before.replace(minute=0, second=0, microsecond=0)
        is_new_hour, self._trimmed_before = hour != self._trimmed_before, hour
        for name, shard in self._shards.items():
            query = error_counters(name, before=before)
            for entity in await self._table.first("index.trim", query, _TRIMMED_ROWS):
                shard.remove(entity["RowKey"])
            if not is_new_hour:
                continue
            timed = with_times(counters(name, since=before - _TRIMMED_SPAN, end=before))
            for entity in await self._table.first("index.trim", timed, _TRIMMED_ROWS):
                shard.merge({"PartitionKey": name, "RowKey": entity["RowKey"], **NO_TIMES})
        await self.flush()

    async def flush(self) -> None:
        """Wait until everything queued is stored."""
        await self._stored(set(self._places.names))

    async def stop(self) -> None:
        """Store what is queued, as far as that is possible in a few seconds."""
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await self.flush()
        except TimeoutError:
            pass
        finally:
            await asyncio.gather(*(shard.stop() for shard in self._shards.values()))

    def _stored(self, partitions: set[str]) -> Awaitable[None]:
        return _Storing([self._shards[name] for name in sorted(partitions)])

    def _hint(self, shard: IndexShard, name: str, event: Event) -> None:
        row_key = open_key(event.job_id, event.after.incarnation)
        if event.sequence <= self._newest.get(row_key, 0):
            return
        self._remember(row_key, event.sequence)
        identity = row_identity(name, event.job_id, event.after.incarnation)
        shard.merge({**identity, **event_hint(event)})

    def _remember(self, row_key: str, sequence: int) -> None:
        while len(self._newest) >= _REMEMBERED_ROWS:
            self._newest.pop(next(iter(self._newest)))
        self._newest[row_key] = sequence


class _Storing:
    """What was wished for until now; awaiting it makes it be written sooner."""

    def __init__(self, shards: Sequence[IndexShard]) -> None:
        self._shards = shards
        self._futures = [shard.stored() for shard in shards]

    def __await__(self) -> Generator[Any, None, None]:
        for shard in self._shards:
            shard.hurry()
        for future in self._futures:
            yield from future
