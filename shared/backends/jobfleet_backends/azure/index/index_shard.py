"""One partition of the index: rows wait here until the previous transaction is back."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import structlog

from jobfleet_backends.azure.http.entity_table import MERGE, REPLACE, EntityTable
from jobfleet_backends.azure.index.shard_writer import Change, ShardWriter
from jobfleet_backends.azure.table_limits import TRANSACTION_ROWS

INDEX_ROWS_DROPPED = "index.rows_dropped"

MAX_BYTES = 3_000_000
"""Size of one transaction; Azure allows 4 MiB. The library writes up to 12 bytes a character."""

_ROWS_OF_A_START, _MOST_STARTS = 2, 4
"""A start is a row of the timeline and a hint; at most a quarter of a batch is starts."""

_SAME_CALL, _LONGEST_GAP = 0.0005, 0.02

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Pace:
    """When the rows that wait are written, in seconds since the transaction before began.

    Rows that are written one by one are the worst load for the storage. So a row waits for others:
    long if no caller waits for it, else until enough rows are there, or until no more can come
    because all slots of the worker wait for these rows.

    Attributes:
        awaited: at the latest, where a caller waits.
        lonely: at the latest, if none does.
        quiet: where a caller waits, how many usual gaps between two rows of any shard must pass
            without one; at most ``awaited``.
        awaited_rows: enough where a caller waits: at 4 to 5 rows a job 0.2 requests each.
        lonely_rows: enough if none does.
    """

    awaited: float = 0.25
    lonely: float = 0.5
    quiet: float = 10
    awaited_rows: int = 24
    lonely_rows: int = 80


AT_ONCE = Pace(awaited=0, lonely=0, quiet=0)


class Arrivals:
    """When rows of any shard came, on the event loop's clock."""

    def __init__(self) -> None:
        self.last = 0.0
        self.gap = 0.0

    def note(self, now: float) -> None:
        """A row came; rows of one call, without time between them, count as one."""
        gap = now - self.last
        if gap > _SAME_CALL:
            self.gap += (min(gap, _LONGEST_GAP) - self.gap) / 8
        self.last = now


class IndexShard:
    """Writes in transactions, in the order of the wishes; a row stands in each but once."""

    def __init__(
        self, *, table: EntityTable, partition: str, pace: Pace, arrivals: Arrivals
    ) -> None:
        self._writer = ShardWriter(table=table, partition=partition)
        self._partition = partition
        self._pace = pace
        self._arrivals = arrivals
        self._waiting: dict[str, Change] = {}
        self._hints = 0
        self._ordinal = 0
        self._stored = 0
        self._watchers: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._writing: asyncio.Task[None] | None = None
        self._due = asyncio.Event()
        self._started = 0.0
        self._is_awaited = False

    def replace(self, entity: dict[str, Any]) -> None:
        """Insert a row, or put it in the place of what is there."""
        self._put(entity, REPLACE)

    def merge(self, entity: dict[str, Any]) -> None:
        """Insert a row, or merge these columns into it; a removal that waits is final."""
        known = self._waiting.get(entity["RowKey"])
        if known is None:
            self._put(entity, MERGE)
        elif known.how is not None:
            known.entity.update(entity)

    def remove(self, row_key: str) -> None:
        """Remove a row; do nothing if it is gone."""
        self._put({"PartitionKey": self._partition, "RowKey": row_key}, None)

    def hurry(self) -> None:
        """A caller waits for what was wished for until now."""
        if self._stored < self._ordinal:
            self._is_awaited = True
            self._due.set()

    def stored(self) -> asyncio.Future[None]:
        """Return what is done as soon as everything wished for until now is stored."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        if self._stored >= self._ordinal:
            future.set_result(None)
        else:
            self._watchers.append((self._ordinal, future))
        return future

    async def stop(self) -> None:
        """Give up what is not stored yet."""
        if self._waiting:
            _log.warning(INDEX_ROWS_DROPPED, rows=len(self._waiting), shard=self._partition)
        if self._writing is not None:
            self._writing.cancel()
            await asyncio.gather(self._writing, return_exceptions=True)
        for _, future in self._watchers:
            future.cancel()

    def _put(self, entity: dict[str, Any], how: Mapping[str, Any] | None) -> None:
        known = self._waiting.get(entity["RowKey"])
        if known is not None:
            self._hints -= _is_hint(known.entity, known.how)
            known.entity, known.how = entity, how
            if self._is_enough:
                self._due.set()
            return
        self._hints += _is_hint(entity, how)
        self._ordinal += 1
        self._waiting[entity["RowKey"]] = Change(self._ordinal, entity, how)
        loop = asyncio.get_running_loop()
        self._arrivals.note(loop.time())
        if self._is_enough:
            self._due.set()
        if self._writing is None or self._writing.done():
            name = f"index {self._partition}"
            self._writing = loop.create_task(self._write(), name=name)

    async def _write(self) -> None:
        loop = asyncio.get_running_loop()
        # Lets the caller finish what belongs together before the first transaction starts.
        await asyncio.sleep(0)
        while self._waiting:
            while (pause := self._pause(loop.time())) > 0:
                self._due.clear()
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._due.wait(), pause)
            self._started = loop.time()
            self._is_awaited = False
            changes = self._take()
            await self._writer.store(changes)
            self._stored = changes[-1].ordinal
            self._tell()

    @property
    def _is_enough(self) -> bool:
        """Whether there are enough rows; the start of a short job waits for its end.

        With the end comes the removal of the open row, in the place of its hint.
        """
        if not self._is_awaited:
            return len(self._waiting) >= self._pace.lonely_rows
        is_met = len(self._waiting) >= _ROWS_OF_A_START * _MOST_STARTS * self._hints
        return is_met and len(self._waiting) >= self._pace.awaited_rows

    def _pause(self, now: float) -> float:
        """Return how long the rows may still wait for company."""
        pace = self._pace
        if self._is_enough:
            return 0
        if not self._is_awaited:
            return self._started + pace.lonely - now
        quiet_at = self._arrivals.last + pace.quiet * self._arrivals.gap
        return min(self._started + pace.awaited, quiet_at) - now

    def _take(self) -> list[Change]:
        taken: list[Change] = []
        size = 0
        for row_key in list(self._waiting)[:TRANSACTION_ROWS]:
            size += _size(self._waiting[row_key].entity)
            if taken and size > MAX_BYTES:
                break
            change = self._waiting.pop(row_key)
            self._hints -= _is_hint(change.entity, change.how)
            taken.append(change)
        return taken

    def _tell(self) -> None:
        while self._watchers and self._watchers[0][0] <= self._stored:
            _, future = self._watchers.popleft()
            if not future.done():
                future.set_result(None)


def _is_hint(entity: Mapping[str, Any], how: Mapping[str, Any] | None) -> bool:
    """Whether this is a hint of an open row; counters are merged too."""
    return how is MERGE and str(entity["RowKey"]).startswith("o-")


def _size(entity: Mapping[str, Any]) -> int:
    return 1_500 + 12 * sum(len(value) for value in entity.values() if isinstance(value, str))
