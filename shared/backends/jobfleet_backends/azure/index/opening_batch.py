"""Open rows of many submits at once: those of one shard that wait for each other go together."""

from __future__ import annotations

import asyncio
from typing import Any

from jobfleet_backends.azure.http.azure_errors import StorageRefused
from jobfleet_backends.azure.http.entity_table import EntityTable
from jobfleet_backends.azure.table_limits import TRANSACTION_ROWS

_OPERATION = "index.open"
_Row = dict[str, Any]
_Waiting = tuple[_Row, "asyncio.Future[None]"]


class OpeningBatch:
    """Has one request of each shard on its way; belongs to one event loop.

    Rows of one turn of the loop, and those that come while a request is on its way, go together;
    a single row goes by itself. Nothing waits for company.
    """

    def __init__(self, *, table: EntityTable) -> None:
        self._table = table
        self._waiting: dict[str, list[_Waiting]] = {}
        self._senders: dict[str, asyncio.Task[None]] = {}

    def insert(self, row: _Row) -> asyncio.Future[None]:
        """Insert a row; the future is done when it stands.

        Its errors are those of ``EntityTable.insert``: a conflict is this row's own.
        """
        loop, shard = asyncio.get_running_loop(), row["PartitionKey"]
        future: asyncio.Future[None] = loop.create_future()
        self._waiting.setdefault(shard, []).append((row, future))
        if shard not in self._senders:
            self._senders[shard] = loop.create_task(self._send(shard), name=f"open {shard}")
        return future

    async def _send(self, shard: str) -> None:
        try:
            while batch := self._take(shard):
                await self._send_together(batch)
        finally:
            del self._senders[shard]

    def _take(self, shard: str) -> list[_Waiting]:
        """Take up to 100 rows, none of them twice: the same job may be submitted twice at once."""
        taken: dict[str, _Waiting] = {}
        left: list[_Waiting] = []
        for each in self._waiting.pop(shard, []):
            key = each[0]["RowKey"]
            if key in taken or len(taken) == TRANSACTION_ROWS:
                left.append(each)
            else:
                taken[key] = each
        if left:
            self._waiting[shard] = left
        return list(taken.values())

    async def _send_together(self, batch: list[_Waiting]) -> None:
        """One row that stands already refuses all, so each is sent by itself then."""
        if len(batch) > 1:
            try:
                await self._table.transact(_OPERATION, [("create", row, {}) for row, _ in batch])
            except StorageRefused:
                pass
            except Exception as error:  # noqa: BLE001 - no caller may wait for ever
                for _, future in batch:
                    _fail(future, error)
                return
            else:
                for _, future in batch:
                    _succeed(future)
                return
        await asyncio.gather(*(self._send_alone(row, future) for row, future in batch))

    async def _send_alone(self, row: _Row, future: asyncio.Future[None]) -> None:
        try:
            await self._table.insert(_OPERATION, row)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the caller's answer
            _fail(future, error)
        else:
            _succeed(future)


def _succeed(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _fail(future: asyncio.Future[None], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
