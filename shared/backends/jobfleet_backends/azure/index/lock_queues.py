"""Who holds a lock key and who waits for it, from the open rows."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from jobfleet_backends.azure.http.table_reader import Query
from jobfleet_backends.azure.index.index_rows import readable_open_rows
from jobfleet_backends.azure.index.index_table import IndexTable
from jobfleet_contracts.index import COUNTED_WAITERS, LockUse, OpenRow
from jobfleet_contracts.state import CLAIMABLE, State

MAX_ROWS = 20_000
"""Open rows with a lock key that are looked at, of all shards."""

_WAITING_ROWS = 4_000
_OPEN = "PartitionKey eq @shard and RowKey gt 'o-' and RowKey lt 'o.'"


class LockQueues:
    """Reads open rows by their lock keys."""

    def __init__(self, *, table: IndexTable) -> None:
        self._table = table

    async def waiters(self, lock_key: str, slots: int, limit: int) -> Sequence[OpenRow]:
        """Return open, claimable jobs of this lock key and slots, longest waiting first."""
        values = {"key": lock_key}
        rows = await self._rows("index.lock_waiters", "LockKey eq @key", values, _WAITING_ROWS)
        return _in_line([row for row in rows if row.facts.lock_slots == slots])[:limit]

    async def slots(self, lock_key: str) -> frozenset[int]:
        """Return the numbers of slots that open jobs name with this lock key."""
        values = {"key": lock_key}
        rows = await self._rows("index.lock_slots", "LockKey eq @key", values, _WAITING_ROWS)
        return frozenset(row.facts.lock_slots for row in rows if row.is_confirmed)

    async def uses(self, limit: int, waiters: int) -> Sequence[LockUse]:
        """Return lock keys, held ones first, then in their order."""
        rows = await self._rows("index.lock_uses", "LockKey gt @key", {"key": ""}, MAX_ROWS)
        by_key: dict[tuple[str, int], list[OpenRow]] = {}
        for row in rows:
            key = str(row.facts.lock_key), row.facts.lock_slots
            by_key.setdefault(key, []).append(row)
        found = [_use(key, slots, named, waiters) for (key, slots), named in by_key.items()]
        found.sort(key=lambda use: (not use.holders, use.lock_key, use.slots))
        return found[:limit]

    async def _rows(
        self, operation: str, condition: str, values: dict[str, str], limit: int
    ) -> list[OpenRow]:
        places = self._table.shards
        queries = (
            Query(f"{_OPEN} and {condition}", {"shard": shard, **values}) for shard in places.names
        )
        most = limit // places.count
        shards = await asyncio.gather(*(self._table.first(operation, q, most) for q in queries))
        return readable_open_rows(row for shard in shards for row in shard)


def _use(key: str, slots: int, named: Sequence[OpenRow], waiters: int) -> LockUse:
    holders = [row for row in named if row.state is State.RUNNING]
    line = _in_line(named)
    return LockUse(key, slots, holders, min(len(line), COUNTED_WAITERS), line[:waiters])


def _in_line(rows: Sequence[OpenRow]) -> list[OpenRow]:
    waiting = (row for row in rows if row.state in CLAIMABLE)
    return sorted(waiting, key=lambda row: (row.opened_at, row.facts.job_id))
