"""The trail in a table: a partition per job, a row per event, inserted and never changed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from jobfleet_backends.azure.http.azure_errors import StorageRefused
from jobfleet_backends.azure.http.entity_table import EntityTable
from jobfleet_backends.azure.http.table_reader import Query
from jobfleet_backends.azure.rows import (
    entity_to_event,
    entity_to_event_or_stand_in,
    event_to_entity,
    row_key,
)
from jobfleet_contracts.errors import SequenceTaken
from jobfleet_contracts.event import Event

MAX_EVENTS = 100
"""Rows of one transaction, by Azure's rule."""
MAX_LOOKS = 64
"""Requests for one page of lifecycle events."""
_FEW_ROWS = 16
"""What is read at a place where steps may lie between lifecycle events."""


class AzureAuditTrail:
    """Inserts without any resending of the library's: a refusal may be about one's own row."""

    def __init__(self, *, table: EntityTable) -> None:
        self._table = table

    async def insert(self, events: Sequence[Event]) -> None:
        """Insert one event by itself, several as one transaction."""
        if not 1 <= len(events) <= MAX_EVENTS:
            raise ValueError(f"1 to {MAX_EVENTS} events at once, not {len(events)}")
        entities = [event_to_entity(event) for event in events]
        try:
            if len(entities) == 1:
                await self._table.insert("trail.insert", entities[0])
            else:
                await self._table.transact(
                    "trail.insert", [("create", entity, {}) for entity in entities]
                )
        except StorageRefused as refusal:
            if refusal.is_conflict:
                raise SequenceTaken(
                    f"job {events[0].job_id} has an event {events[0].sequence} already, or one "
                    "that follows"
                ) from refusal
            raise

    async def newest(self, job_id: str) -> Event | None:
        """Return the first row of the partition."""
        query = Query("PartitionKey eq @job", {"job": job_id})
        rows = await self._table.first("trail.newest", query, 1)
        return entity_to_event(rows[0]) if rows else None

    async def read(self, job_id: str, sequence: int) -> Event | None:
        """Return one row by its key."""
        entity = await self._table.get("trail.read", job_id, row_key(sequence))
        return None if entity is None else entity_to_event(entity)

    async def history(
        self, job_id: str, *, after: int = 0, before: int | None = None, limit: int = 1000
    ) -> Sequence[Event]:
        """Return a part of one partition, oldest first.

        Rows come newest first. Sequences have no gaps, so the oldest ``limit`` of a range are a
        range of their own.
        """
        end = after + limit + 1 if before is None else before
        query = Query(
            "PartitionKey eq @job and RowKey gt @newest and RowKey lt @oldest",
            {"job": job_id, "newest": row_key(end), "oldest": row_key(after)},
        )
        rows = await self._table.first("trail.history", query, limit)
        return [entity_to_event(entity) for entity in reversed(rows)]

    async def lifecycle(self, job_id: str, *, last: int, limit: int = 1000) -> Sequence[Event]:
        """Return lifecycle events, oldest first, in at most ``MAX_LOOKS`` requests.

        Each request reads some neighbouring rows; the oldest of them names the place of the next.
        """
        newest_first: list[Event] = []
        rows = _FEW_ROWS
        for _ in range(MAX_LOOKS):
            events = await self.history(
                job_id, before=last + 1, limit=min(rows, limit - len(newest_first))
            )
            found = [event for event in reversed(events) if not event.is_step]
            newest_first += found
            if not events or len(newest_first) >= limit:
                break
            last = events[0].after.lifecycle_before
            if not 0 < last < events[0].sequence:
                break  # the first event; or an edited row, which must not lead in circles
            rows = limit if len(found) == len(events) else _FEW_ROWS
        return newest_first[::-1]

    async def scan(self) -> AsyncIterator[Sequence[Event]]:
        """Yield each job's history; partitions come whole, one after the other."""
        newest_first: list[Event] = []
        async for page in self._table.pages("trail.scan", Query("", {})):
            for entity in page:
                if newest_first and newest_first[0].job_id != entity["PartitionKey"]:
                    yield newest_first[::-1]
                    newest_first = []
                newest_first.append(entity_to_event_or_stand_in(entity))
        if newest_first:
            yield newest_first[::-1]
