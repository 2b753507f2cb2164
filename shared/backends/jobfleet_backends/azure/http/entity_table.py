"""One table: rows in and out, created when it is missing and allowed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

from azure.core import MatchConditions
from azure.data.tables import UpdateMode
from azure.data.tables.aio import TableClient

from jobfleet_backends.azure.http.azure_errors import StorageRefused
from jobfleet_backends.azure.http.created_on_demand import CreatedOnDemand
from jobfleet_backends.azure.http.storage_calls import StorageCalls
from jobfleet_backends.azure.http.table_reader import Query, Row, Rows, TableReader, etag_of
from jobfleet_backends.azure.http.table_writer import Entity, Operation, TableWriter

_Answer = TypeVar("_Answer")

PAGE_ROWS = 1000
"""Rows of one page at most, by Azure's rule; a page may also be shorter, or empty, and go on."""

MERGE: Mapping[str, Any] = {"mode": UpdateMode.MERGE}
REPLACE: Mapping[str, Any] = {"mode": UpdateMode.REPLACE}


class EntityTable:
    """Requests to one table; operations are names for the counter and for errors."""

    def __init__(
        self, *, client: TableClient, reader: TableReader, writer: TableWriter, calls: StorageCalls
    ) -> None:
        self._client = client
        self._reader = reader
        self._writer = writer
        self._calls = calls
        self._requests = CreatedOnDemand(
            calls=calls,
            missing="TableNotFound",
            operation="table.create",
            create=client.create_table,
        )

    @property
    def address(self) -> str:
        """The service, without secrets."""
        return self._calls.address

    async def insert(self, operation: str, entity: Entity) -> None:
        """Insert one row; refused with 409 where its key stands already."""
        writer = self._writer
        await self._write(operation, lambda: writer.insert(entity))

    async def upsert(self, operation: str, entity: Entity, how: Mapping[str, Any]) -> None:
        """Insert a row, or merge into it or replace it."""
        client = self._client
        await self._write(operation, lambda: client.upsert_entity(entity, **how))

    async def replace(self, operation: str, entity: Entity, *, etag: str) -> None:
        """Replace one row as it was read; refused with 412 if it was changed since."""
        client = self._client
        how: dict[str, Any] = {
            "etag": etag,
            "match_condition": MatchConditions.IfNotModified,
            **REPLACE,
        }
        await self._write(operation, lambda: client.update_entity(entity, **how))

    async def transact(self, operation: str, operations: Sequence[Operation]) -> None:
        """Write up to 100 rows of one partition, all or none."""
        writer = self._writer
        await self._write(operation, lambda: writer.transact(operations))

    async def delete(
        self, operation: str, partition: str, row: str, *, etag: str | None = None
    ) -> None:
        """Delete one row; do nothing if it is gone."""
        client = self._client
        how: dict[str, Any] = {}
        if etag is not None:
            how = {"etag": etag, "match_condition": MatchConditions.IfNotModified}
        await self._write(operation, lambda: client.delete_entity(partition, row, **how))

    async def sweep(self, operation: str, entity: Row) -> None:
        """Delete a row that was read, unless it was changed or deleted since."""
        try:
            await self.delete(
                operation,
                entity["PartitionKey"],
                entity["RowKey"],
                etag=etag_of(entity),
            )
        except StorageRefused as refusal:
            if not refusal.is_conflict:
                raise

    async def get(self, operation: str, partition: str, row: str) -> Row | None:
        """Return one row, ``None`` if there is none."""
        client = self._client
        try:
            entity = await self._read(operation, lambda: client.get_entity(partition, row))
        except StorageRefused as refusal:
            if refusal.is_missing:
                return None
            raise
        self._calls.note_rows(operation, 1)
        return entity

    async def page(
        self,
        operation: str,
        query: Query,
        *,
        size: int = PAGE_ROWS,
        following: Mapping[str, str] | None = None,
    ) -> Rows:
        """Return one page in the order of the keys."""
        reader = self._reader
        rows = await self._read(operation, lambda: reader.page(query, size, following))
        self._calls.note_rows(operation, len(rows.entities))
        return rows

    async def pages(
        self, operation: str, query: Query, *, size: int = PAGE_ROWS
    ) -> AsyncIterator[Sequence[Row]]:
        """Yield page after page, none of them held."""
        rows = await self.page(operation, query, size=size)
        yield rows.entities
        while rows.following is not None:
            rows = await self.page(operation, query, size=size, following=rows.following)
            yield rows.entities

    async def first(self, operation: str, query: Query, count: int) -> list[Row]:
        """Return up to ``count`` rows; goes on where Azure ends a page early."""
        found: list[Row] = []
        following = None
        while len(found) < count:
            size = min(PAGE_ROWS, count - len(found))
            rows = await self.page(operation, query, size=size, following=following)
            found += rows.entities
            following = rows.following
            if following is None:
                break
        return found

    async def _write(self, operation: str, request: Callable[[], Awaitable[object]]) -> None:
        await self._requests.write(operation, request)

    async def _read(self, operation: str, request: Callable[[], Awaitable[_Answer]]) -> _Answer:
        return await self._requests.read(operation, request)
