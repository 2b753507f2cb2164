"""The table of the index: how many partitions it has, which its first process decides."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar
from zlib import crc32

from typing_extensions import override

from jobfleet_backends.azure.http.azure_errors import StorageRefused
from jobfleet_backends.azure.http.entity_table import EntityTable
from jobfleet_contracts.errors import BackendForbidden

_Answer = TypeVar("_Answer")
_PARTITION, _ROW = "index", "shards"


@dataclass(frozen=True, slots=True)
class Shards:
    """Partitions of the index. A job's rows share one, so that one transaction writes them.

    Attributes:
        count: how many shards there are; all processes of a fleet must agree on it.
    """

    count: int

    @property
    def names(self) -> tuple[str, ...]:
        """Their partition keys."""
        return tuple(f"shard-{number}" for number in range(self.count))

    def of(self, key: str) -> str:
        """Return the partition of a job id, or of an error group."""
        return f"shard-{crc32(key.encode()) % self.count}"


class OtherShards(BackendForbidden):
    """The index was made with another number of shards."""


class IndexTable(EntityTable):
    """Compares the number of shards with the stored one before its first request.

    A process that used another number would read and write rows where no other process does.
    """

    def __init__(self, *, shards: Shards, **parts: Any) -> None:
        super().__init__(**parts)
        self.shards = shards
        self._agreed = False
        self._agreeing = asyncio.Lock()

    async def agree(self) -> None:
        """Read the stored number, or store this process's if there is none.

        Raises:
            OtherShards: another number is stored; names both and the remedy.
        """
        async with self._agreeing:
            if self._agreed:
                return
            stored = await self._stored() or await self._decided()
            if stored != self.shards.count:
                raise OtherShards(
                    f"JOBFLEET_INDEX_SHARDS is {self.shards.count}, but the index of this fleet "
                    f"has {stored}: set it to {stored}. To change the number, stop all processes, "
                    "delete the table JobIndex and run 'jobfleet audit rebuild'"
                )
            self._agreed = True

    async def _stored(self) -> int | None:
        client = self._client
        try:
            row = await super()._read("index.shards", lambda: client.get_entity(_PARTITION, _ROW))
        except StorageRefused as refusal:
            if refusal.is_missing:
                return None
            raise
        return int(row["Shards"])

    async def _decided(self) -> int | None:
        """Store this process's number, unless another process is first. Return what stands."""
        row = {"PartitionKey": _PARTITION, "RowKey": _ROW, "Shards": self.shards.count}
        writer = self._writer
        try:
            await super()._write("index.shards", lambda: writer.insert(row))
        except StorageRefused as refusal:
            if not refusal.is_conflict:
                raise
            return await self._stored()
        return self.shards.count

    @override
    async def _write(self, operation: str, request: Callable[[], Awaitable[object]]) -> None:
        if not self._agreed:
            await self.agree()
        await super()._write(operation, request)

    @override
    async def _read(self, operation: str, request: Callable[[], Awaitable[_Answer]]) -> _Answer:
        if not self._agreed:
            await self.agree()
        return await super()._read(operation, request)
