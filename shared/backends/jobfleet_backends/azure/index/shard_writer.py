"""Stores rows of one partition; a row that the storage cannot digest holds up no other."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import structlog

from jobfleet_backends.azure.http.azure_errors import StorageFault, StorageRefused
from jobfleet_backends.azure.http.entity_table import EntityTable
from jobfleet_contracts.errors import BackendForbidden, BackendUnavailable

INDEX_NOT_WRITTEN = "index.write_failed"
INDEX_WRITTEN_AGAIN = "index.write_recovered"
INDEX_ROW_REFUSED = "index.row_refused"
INDEX_ROW_SIMPLIFIED = "index.row_simplified"

_OPERATION = "index.write"
_KEYS = frozenset({"PartitionKey", "RowKey"})
_MISSING_ROW = "nobody"
_FAULTS_OF_ALL = 3
"""In a row, before rows are tried apart: a storage that restarts answers so for a moment."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 5.0

_log = structlog.get_logger()


@dataclass(slots=True)
class Change:
    """What becomes of one row; later wishes for it are put together with this one."""

    ordinal: int
    entity: dict[str, Any]
    how: Mapping[str, Any] | None
    """``MERGE`` or ``REPLACE``; ``None`` removes the row."""

    def in_plain_text(self) -> Change:
        """Return the row with ``?`` in place of each character that is not printable ASCII."""
        return replace(
            self, entity={k: v if k in _KEYS else _plain(v) for k, v in self.entity.items()}
        )


class ShardWriter:
    """Sends transactions until they are stored; the trail has it all already."""

    def __init__(self, *, table: EntityTable, partition: str) -> None:
        self._table = table
        self._partition = partition
        self._failing = False

    async def store(self, changes: Sequence[Change]) -> None:
        """Return when each row is stored, or was refused for good and is named in the log."""
        pause, faults = _FIRST_PAUSE, 0
        while True:
            try:
                await self._send(changes)
                break
            except StorageFault as fault:
                faults += 1
                if faults >= _FAULTS_OF_ALL and await self._store_apart(changes):
                    break
                self._note(str(fault))
            except (BackendUnavailable, BackendForbidden) as error:
                faults = 0
                self._note(str(error))
            await asyncio.sleep(pause * random.uniform(0.5, 1))
            pause = min(pause * 2, _LONGEST_PAUSE)
        self._note(None)

    async def _store_apart(self, changes: Sequence[Change]) -> bool:
        """Halve what is answered with a fault until the rows that cause it stand alone.

        Returns:
            ``False`` if the storage gives this answer to every request: nothing is given up then.
        """
        left = [changes]
        while left:
            part = left.pop()
            try:
                await self._send(part)
            except StorageFault as fault:
                if len(part) > 1:
                    middle = len(part) // 2
                    left += [part[middle:], part[:middle]]
                elif not await self._give_way(part[0], fault):
                    return False
            except (BackendUnavailable, BackendForbidden):
                return False
        return True

    async def _give_way(self, change: Change, problem: StorageFault | StorageRefused) -> bool:
        """Store one row in plain text, else drop it; return False where the storage is away.

        Only what is refused between two signs of life is the row's own fault: the storage may
        have come back a moment ago, or have gone.
        """
        row = change.entity["RowKey"]
        if not await self._is_alive():
            return False
        if await self._takes(change):
            return True
        if change.how is not None and await self._takes(change.in_plain_text()):
            _log.error(INDEX_ROW_SIMPLIFIED, row=row, error=str(problem))
            return True
        if not await self._is_alive():
            return False
        _log.error(INDEX_ROW_REFUSED, row=row, error=str(problem))
        return True

    async def _takes(self, change: Change) -> bool:
        try:
            await self._put(change)
        except (BackendUnavailable, BackendForbidden, StorageRefused):
            return False
        return True

    async def _is_alive(self) -> bool:
        """Whether the storage takes writes: it is asked to remove what is not there."""
        try:
            await self._table.delete(_OPERATION, self._partition, _MISSING_ROW)
        except StorageRefused:
            return True
        except (BackendUnavailable, BackendForbidden):
            return False
        return True

    async def _send(self, changes: Sequence[Change]) -> None:
        if len(changes) == 1:
            await self._send_one(changes[0])
            return
        try:
            await self._table.transact(_OPERATION, [_operation(change) for change in changes])
        except StorageRefused:
            await self._send_each(changes)

    async def _send_each(self, changes: Sequence[Change]) -> None:
        """A row to remove that is gone refuses the whole transaction, so those go by themselves."""
        gone = [change for change in changes if change.how is None]
        kept = [change for change in changes if change.how is not None]
        for change in gone:
            await self._send_one(change)
        if gone and len(kept) > 1:
            await self._send(kept)
        else:
            for change in kept:
                await self._send_one(change)

    async def _send_one(self, change: Change) -> None:
        try:
            await self._put(change)
        except StorageRefused as refusal:
            if not await self._give_way(change, refusal):
                raise BackendUnavailable(str(refusal)) from refusal

    async def _put(self, change: Change) -> None:
        if change.how is None:
            keys = change.entity["PartitionKey"], change.entity["RowKey"]
            await self._table.delete(_OPERATION, *keys)
        else:
            await self._table.upsert(_OPERATION, change.entity, change.how)

    def _note(self, problem: str | None) -> None:
        if problem is not None and not self._failing:
            _log.warning(INDEX_NOT_WRITTEN, shard=self._partition, error=problem)
        elif problem is None and self._failing:
            _log.info(INDEX_WRITTEN_AGAIN, shard=self._partition)
        self._failing = problem is not None


def _operation(change: Change) -> tuple[str, Mapping[str, Any], Mapping[str, Any]]:
    if change.how is None:
        return "delete", change.entity, {}
    return "upsert", change.entity, change.how


def _plain(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return "".join(each if each.isascii() and each.isprintable() else "?" for each in value)
