"""Counts of starts as rows that are replaced with ``If-Match``."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from jobfleet_backends.azure.http.azure_errors import StorageRefused
from jobfleet_backends.azure.http.entity_table import EntityTable
from jobfleet_backends.azure.http.table_reader import Query, etag_of
from jobfleet_contracts.codec import format_time, parse_time
from jobfleet_contracts.rate import RateRow

_ROW = "rate"
_COLUMNS = ("PartitionKey", "RowKey", "Moment", "Timestamp")


class AzureRateStore:
    """One row per key, each in a partition of its own; the ETag is the version.

    Moments are text of one length, so a filter compares them as times.
    """

    def __init__(self, *, table: EntityTable) -> None:
        self._table = table

    async def read(self, key: str) -> RateRow | None:
        """Return one row by its key."""
        where = "PartitionKey eq @key and RowKey eq @row"
        query = Query(where, {"key": _partition(key), "row": _ROW})
        rows = await self._table.first("rate.read", query, 1)
        return RateRow(parse_time(rows[0]["Moment"]), etag_of(rows[0])) if rows else None

    async def replace(self, key: str, moment: datetime, *, read: RateRow | None) -> bool:
        """Insert the row, or replace it under the ETag that was read."""
        entity: dict[str, Any] = {
            "PartitionKey": _partition(key),
            "RowKey": _ROW,
            "Moment": format_time(moment),
        }
        try:
            if read is None:
                await self._table.insert("rate.insert", entity)
            else:
                await self._table.replace("rate.replace", entity, etag=read.version)
        except StorageRefused as refusal:
            if refusal.is_conflict or refusal.is_missing:
                return False
            raise
        return True

    async def forget(self, before: datetime) -> None:
        """Delete the rows whose moment is older, each only as it was read."""
        query = Query("Moment lt @before", {"before": format_time(before)}, _COLUMNS)
        async for rows in self._table.pages("rate.list", query):
            for row in rows:
                await self._table.sweep("rate.forget", row)


def _partition(key: str) -> str:
    """Return the key without strokes, which no key of Azure's tables may hold."""
    return key.replace("/", "~")
