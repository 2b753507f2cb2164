"""Takes old histories out of the tables; the one that deletes or replaces rows of the trail."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime

from jobfleet_backends.azure.column_kinds import check_kinds
from jobfleet_backends.azure.http.azure_errors import StorageRefused
from jobfleet_backends.azure.http.entity_table import REPLACE, EntityTable
from jobfleet_backends.azure.http.table_reader import Query
from jobfleet_backends.azure.http.table_writer import Operation
from jobfleet_backends.azure.index.error_counter import dead_key
from jobfleet_backends.azure.index.index_rows import indexed_key, time_key
from jobfleet_backends.azure.index.index_table import IndexTable
from jobfleet_backends.azure.index.job_lookup import lookup_key
from jobfleet_backends.azure.rows import entity_to_event, event_to_entity, plain_time, row_key
from jobfleet_backends.azure.table_limits import TRANSACTION_ROWS
from jobfleet_contracts.cursor import NUMBER, CursorForm
from jobfleet_contracts.errors import SequenceTaken
from jobfleet_contracts.event import Event
from jobfleet_contracts.index import IndexedEvent, Page
from jobfleet_contracts.state import TERMINAL

_CURSOR = CursorForm(f"({NUMBER})~(t-.*)")
_STATES = " or ".join(f"State eq '{state.value}'" for state in sorted(TERMINAL))
_ENDED = f"PartitionKey eq @shard and RowKey gt @after and RowKey lt 't.' and ({_STATES})"
_COLUMNS = ("PartitionKey", "RowKey", "JobId", "Sequence", "OccurredAt")


class AzureTrailRetention:
    """Histories of up to 99 events go in one transaction, longer ones oldest first.

    The last transaction of a history puts the tombstone in the place of event 1 and removes the
    newest event. So an older event of the job is never the newest.
    """

    def __init__(self, *, trail: EntityTable, index: IndexTable) -> None:
        self._trail = trail
        self._index = index

    async def ended_before(
        self, moment: datetime, *, cursor: str | None = None, limit: int = 100
    ) -> Page[IndexedEvent]:
        """Return copies of events, shard by shard, newest first; cursor: ``<shard>~<row key>``."""
        shard, after = _place(cursor)
        found: list[IndexedEvent] = []
        read = 0
        shards = self._index.shards.names
        while shard < len(shards):
            begin = max(after, f"{time_key(moment)}-~")
            query = Query(_ENDED, {"shard": shards[shard], "after": begin}, _COLUMNS)
            left = limit - read
            rows = await self._index.first("retention.search", query, left)
            read += len(rows)
            for row in rows:
                with suppress(KeyError, TypeError):  # an edited copy must not end the retention
                    check_kinds(row)
                    ended_at = plain_time(row["OccurredAt"])
                    found.append(IndexedEvent(row["JobId"], row["Sequence"], ended_at))
            if len(rows) == left:
                return Page(found, f"{shard}~{rows[-1]['RowKey']}")
            shard, after = shard + 1, ""
        return Page(found)

    async def forget(self, tombstone: Event, *, last: int) -> None:
        """Remove rows 2 to ``last`` and put the tombstone in the place of row 1."""
        job_id = tombstone.job_id
        query = Query("PartitionKey eq @job", {"job": job_id}, ("PartitionKey", "RowKey"))
        keys: list[str] = []
        async for page in self._trail.pages("retention.read", query):
            keys += [str(row["RowKey"]) for row in page]
        if not keys or keys[0] != row_key(last):
            raise SequenceTaken(f"job {job_id} has gone on: event {last} is not its newest")
        final: list[Operation] = [("upsert", event_to_entity(tombstone), REPLACE)]
        if last > 1:
            final.append(_removal(job_id, row_key(last)))
        between = [
            _removal(job_id, key) for key in reversed(keys) if key not in {keys[0], row_key(1)}
        ]
        for batch in _batches(between, final):
            await self._trail.transact("retention.forget", batch)

    async def unlist(self, events: Sequence[IndexedEvent]) -> None:
        """Remove copies of events from the timeline."""
        keys: dict[str, set[str]] = defaultdict(set)
        for event in events:
            of_job = keys[self._index.shards.of(event.job_id)]
            of_job.add(indexed_key(event))
            if event.error_group is not None:
                of_job.add(dead_key(event, event.error_group))
            if event.created_at is not None:
                of_job |= {
                    lookup_key(event.job_id, event.created_at, key, value)
                    for key, value in event.keys.items()
                }
        for shard, of_shard in keys.items():
            removals = [_removal(shard, key) for key in sorted(of_shard)]
            for batch in _batches(removals):
                await self._unlist(batch)

    async def erase(self, job_id: str, *, last: int) -> None:
        """Replace the rows, page by page. Samples of errors go when their hour is trimmed."""
        values = {"job": job_id, "last": row_key(last)}
        query = Query("PartitionKey eq @job and RowKey ge @last", values)
        async for page in self._trail.pages("retention.read", query):
            emptied = [entity_to_event(row).without_values() for row in page]
            operations: list[Operation] = [
                ("upsert", event_to_entity(event), REPLACE) for event in emptied
            ]
            for batch in _batches(operations):
                await self._trail.transact("retention.erase", batch)

    async def check_rights(self) -> None:
        """Try to delete a row that never stands; the refusal names the role that is needed."""
        await self._trail.delete("retention.check", "rights", "none")

    async def _unlist(self, batch: Sequence[Operation]) -> None:
        """A row that is gone refuses the whole transaction, so they go one by one then."""
        try:
            if len(batch) > 1:
                await self._index.transact("retention.unlist", batch)
                return
        except StorageRefused as refusal:
            if not refusal.is_missing:
                raise
        for _, entity, _ in batch:
            keys = entity["PartitionKey"], entity["RowKey"]
            await self._index.delete("retention.unlist", *keys)


def _removal(partition: str, key: str) -> Operation:
    return "delete", {"PartitionKey": partition, "RowKey": key}, {}


def _batches(
    operations: Sequence[Operation], final: Sequence[Operation] = ()
) -> list[list[Operation]]:
    """Cut into transactions; the final operations stay in one, the last."""
    starts = range(0, len(operations), TRANSACTION_ROWS)
    batches = [list(operations[start : start + TRANSACTION_ROWS]) for start in starts]
    if final:
        if not batches or len(batches[-1]) + len(final) > TRANSACTION_ROWS:
            batches.append([])
        batches[-1] += final
    return batches


def _place(cursor: str | None) -> tuple[int, str]:
    if cursor is None:
        return 0, ""
    shard, key = _CURSOR.parts(cursor)
    return int(shard), key
