"""The index as Azure holds it: rows merged in behind the trail, late, twice, or never."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from jobfleet_contracts.cursor import NUMBER, CursorForm
from jobfleet_contracts.errors import BackendError
from jobfleet_contracts.event import Event
from jobfleet_contracts.index import OpenRow, Page
from jobfleet_contracts.state import CLAIMABLE, State, Status
from tests.simulation.faults import OwnError
from tests.simulation.wire import Wire

SLOTS = 4
LINGER_SECONDS = 0.05
_CLOSED = 1 << 62
_CURSOR = CursorForm(f"({NUMBER})")
_WHILE_IT_RUNS = (Status.STEP, Status.WAITING)

Key = tuple[str, int]


@dataclass(slots=True)
class _Change:
    """What becomes of one row: columns merged in, or its removal."""

    opened: OpenRow | None = None
    hints: dict[int, Event] = field(default_factory=dict)
    published: dict[int, int] = field(default_factory=dict)
    removed: bool = False


class IndexTable:
    """Open rows and the timeline. A row without its opening columns is orphaned, and not shown.

    Attributes:
        timeline: events by job and sequence, as views would show them.
        discarded: open rows, by job and incarnation, that went because their event did not come.
    """

    def __init__(self) -> None:
        self.timeline: dict[Key, Event] = {}
        self.discarded: set[Key] = set()
        self._rows: dict[Key, _Change] = {}

    def open(self, row: OpenRow) -> None:
        """Insert the row, or complete an orphaned one; a row whose event stands stays as it is."""
        known = self._rows.setdefault((row.facts.job_id, row.incarnation), _Change())
        if known.opened is None:
            known.opened = row
        elif not _read(known, known.opened).is_confirmed:
            known.opened = replace(known.opened, opened_at=row.opened_at)

    def made(self, row: OpenRow, event: Event) -> None:
        """Insert the row of a job that was made in one transaction, and event 1 in the timeline."""
        known = self._rows.setdefault((row.facts.job_id, row.incarnation), _Change())
        known.opened = row
        known.hints[event.sequence % SLOTS] = event
        known.published[row.published % SLOTS] = row.published
        self.timeline[event.job_id, event.sequence] = event

    def discard(self, row: OpenRow) -> None:
        """Remove the row, unless it was opened again or confirmed since it was read."""
        known = self._rows.get((row.facts.job_id, row.incarnation))
        if known is None or known.opened is None or known.opened.opened_at != row.opened_at:
            return
        if not _read(known, known.opened).is_confirmed:
            del self._rows[row.facts.job_id, row.incarnation]
            self.discarded.add((row.facts.job_id, row.incarnation))

    def change(self, changes: dict[Key, _Change], timeline: Sequence[Event]) -> None:
        """Carry out one transaction."""
        for event in timeline:
            self.timeline[event.job_id, event.sequence] = event
        for key, change in changes.items():
            if change.removed:
                self._rows.pop(key, None)
                continue
            row = self._rows.setdefault(key, _Change())
            row.hints.update(change.hints)
            row.published.update(change.published)

    def unlist(self, keys: Sequence[Key]) -> None:
        """Take places out of the timeline; quiet where they are gone."""
        for key in keys:
            self.timeline.pop(key, None)

    def open_rows(self) -> list[OpenRow]:
        """Return what a reader sees, in the order of keys."""
        return [
            _read(row, row.opened)
            for _, row in sorted(self._rows.items(), key=lambda item: item[0])
            if row.opened is not None
        ]


def _read(row: _Change, opened: OpenRow) -> OpenRow:
    published = max(row.published.values(), default=opened.published)
    if not row.hints:
        return replace(opened, published=published)
    newest = max(row.hints.values(), key=lambda event: event.sequence)
    after = newest.after
    return OpenRow(
        opened.facts,
        opened.incarnation,
        after.state,
        after.sequence,
        opened.opened_at,
        newest.occurred_at,
        lock=after.lock,
        due_at=after.due_at,
        sent=after.sent,
        published=published,
    )


class FakeJobIndex:
    """The writer of one process: shared batches, one on its way at a time, tried until stored."""

    def __init__(self, *, table: IndexTable, wire: Wire) -> None:
        self._table = table
        self._wire = wire
        self._changes: dict[Key, _Change] = {}
        self._timeline: list[Event] = []
        self._newest: dict[Key, int] = {}
        self._stored: list[asyncio.Future[None]] = []
        self._writer: asyncio.Task[None] | None = None

    async def open(self, row: OpenRow) -> None:
        """Insert an open row by itself."""
        self._newest.pop((row.facts.job_id, row.incarnation), None)
        await self._wire.write(
            "index.open", lambda: self._table.open(row), about=row.facts.job_id[-4:]
        )

    def record(self, events: Sequence[Event]) -> Awaitable[None]:
        """Queue timeline rows and hints, or fail as no adapter should."""
        last = events[-1]
        by_claim = last.worker_id == self._wire.process.name
        if by_claim and last.kind not in _WHILE_IT_RUNS and self._wire.meets_own_error():
            raise OwnError("on purpose")
        self._timeline += events
        for event in events:
            key = event.job_id, event.after.incarnation
            if event.after.state.is_terminal or event.sequence <= self._newest.get(key, 0):
                continue
            self._newest[key] = event.sequence
            self._merge(key).hints[event.sequence % SLOTS] = event
        return self._soon()

    def published(self, job_id: str, incarnation: int, sequence: int) -> Awaitable[None]:
        """Queue the mark, unless the row was closed here."""
        key = job_id, incarnation
        if self._newest.get(key, 0) < _CLOSED:
            self._merge(key).published[sequence % SLOTS] = sequence
        return self._soon()

    def close(self, job_id: str, incarnation: int) -> Awaitable[None]:
        """Queue the removal."""
        key = job_id, incarnation
        self._newest[key] = _CLOSED
        self._changes[key] = _Change(removed=True)
        return self._soon()

    async def discard(self, row: OpenRow) -> None:
        """Remove a row whose event never came."""
        await self._wire.write(
            "index.discard", lambda: self._table.discard(row), about=row.facts.job_id[-4:]
        )

    async def trim(self, *, before: datetime) -> None:
        """Neither errors nor run times are counted here."""

    async def begin_rebuild(self, *, now: datetime) -> None:
        """Do nothing: counts come from the trail."""

    async def flush(self) -> None:
        """Wait until everything queued is stored."""
        await self._soon()

    def _merge(self, key: Key) -> _Change:
        change = self._changes.setdefault(key, _Change())
        return _Change() if change.removed else change

    def _soon(self) -> asyncio.Future[None]:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        busy = self._writer is not None and not self._writer.done()
        if not self._changes and not self._timeline and not busy:
            future.set_result(None)
            return future
        self._stored.append(future)
        if not busy:
            self._writer = loop.create_task(self._write(), name="index-writer")
        return future

    async def _write(self) -> None:
        while self._changes or self._timeline or self._stored:
            await asyncio.sleep(LINGER_SECONDS)
            changes, self._changes = self._changes, {}
            timeline, self._timeline = self._timeline, []
            stored, self._stored = self._stored, []
            if changes or timeline:
                await self._store(changes, timeline)
            for future in stored:
                if not future.done():
                    future.set_result(None)

    async def _store(self, changes: dict[Key, _Change], timeline: list[Event]) -> None:
        pause = LINGER_SECONDS
        while True:
            try:
                await self._wire.write("index.write", lambda: self._table.change(changes, timeline))
            except BackendError:
                await asyncio.sleep(pause)
                pause = min(pause * 2, 5.0)
            else:
                return


class FakeJobIndexReader:
    """What the protocol and the workers ask of the index; pages' questions it cannot answer."""

    def __init__(self, *, table: IndexTable, wire: Wire) -> None:
        self._table = table
        self._wire = wire

    async def open_rows(
        self,
        *,
        states: frozenset[State] | None = None,
        cursor: str | None = None,
        limit: int = 1000,
    ) -> Page[OpenRow]:
        """Return open rows; the cursor is a number of rows."""

        begin = 0 if cursor is None else int(_CURSOR.parts(cursor)[0])

        def ask() -> Page[OpenRow]:
            rows = self._table.open_rows()
            page = rows[begin : begin + limit]
            found = [row for row in page if states is None or row.state in states]
            more = len(rows) > begin + limit
            return Page(found, str(begin + limit) if more else None)

        return await self._wire.read("open.list", ask)

    async def lock_slots(self, lock_key: str) -> frozenset[int]:
        """Return the numbers of slots that open jobs name with this lock key."""
        return frozenset(
            row.facts.lock_slots
            for row in self._table.open_rows()
            if row.facts.lock_key == lock_key and row.is_confirmed
        )

    async def lock_waiters(
        self, lock_key: str, *, slots: int = 1, limit: int = 10
    ) -> Sequence[OpenRow]:
        """Return open, claimable jobs of this lock key and slots, longest waiting first."""

        def ask() -> list[OpenRow]:
            rows = [
                row
                for row in self._table.open_rows()
                if (row.facts.lock_key, row.facts.lock_slots) == (lock_key, slots)
                and row.state in CLAIMABLE
                and row.is_confirmed
            ]
            return sorted(rows, key=lambda row: row.opened_at)[:limit]

        return await self._wire.read("open.lock_waiters", ask)
