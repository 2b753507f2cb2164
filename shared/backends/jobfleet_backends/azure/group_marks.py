"""Marks of ended group members as entities that are inserted once."""

from __future__ import annotations

from collections.abc import Mapping

from jobfleet_backends.azure.http.azure_errors import StorageRefused
from jobfleet_backends.azure.http.entity_table import EntityTable
from jobfleet_backends.azure.http.table_reader import Query


class AzureGroupMarks:
    """One entity per mark; a block of members is one partition, which one server orders."""

    def __init__(self, *, table: EntityTable) -> None:
        self._table = table

    async def insert(self, partition: str, row: str, value: str) -> bool:
        """Insert an entity; a duplicate is refused with 409."""
        entity = {"PartitionKey": partition, "RowKey": row, "Value": value}
        try:
            await self._table.insert("mark.insert", entity)
        except StorageRefused as refusal:
            if refusal.is_conflict:
                return False
            raise
        return True

    async def read(self, partition: str) -> Mapping[str, str]:
        """Return all entities of a partition."""
        query = Query("PartitionKey eq @partition", {"partition": partition})
        found: dict[str, str] = {}
        async for rows in self._table.pages("mark.read", query):
            found |= {row["RowKey"]: str(row.get("Value", "")) for row in rows}
        return found

    async def remove(self, group_id: str) -> None:
        """Delete all entities of a group; ``~`` is the last of the characters of a key."""
        query = Query(
            "PartitionKey ge @first and PartitionKey lt @end",
            {"first": f"{group_id}~", "end": f"{group_id}~~"},
        )
        async for rows in self._table.pages("mark.list", query):
            for row in rows:
                await self._table.delete("mark.remove", row["PartitionKey"], row["RowKey"])
