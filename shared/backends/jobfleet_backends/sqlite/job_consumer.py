"""Deliveries for one worker: rows that it holds for as long as it lives."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterable, Sequence
from datetime import timedelta
from itertools import takewhile

import structlog

from jobfleet_backends.sql.held_delivery import HeldDelivery, held_deliveries
from jobfleet_backends.sql.row_codec import Row
from jobfleet_backends.sqlite.change_signal import (
    POLL_BESIDE_SIGNAL_SECONDS,
    POLL_SECONDS,
    ChangeSignal,
)
from jobfleet_backends.sqlite.database import Database
from jobfleet_backends.sqlite.wake_signal import WakeSignal
from jobfleet_contracts.errors import BackendUnavailable
from jobfleet_contracts.job import LANES
from jobfleet_contracts.job_id import new_id

HOLD_SECONDS = 15.0
"""A delivery of a worker that died comes back after this time."""
HOLD_RENEW_SECONDS = 5.0
HOLD_NOT_RENEWED = "deliveries.hold_not_renewed"

_READY = """
SELECT message, body, hints, unanswered FROM messages
WHERE queue = ? AND lane = ? AND visible_at <= ? ORDER BY visible_at, message LIMIT ?
"""
_NEXT = "SELECT min(visible_at) FROM messages WHERE queue = ? AND lane = ?"
_HOLD = """
UPDATE messages SET visible_at = ?, holder = ?, unanswered = unanswered + 1 WHERE message = ?
"""
_KEEP = "UPDATE messages SET visible_at = ? WHERE message = ? AND holder = ?"
_REQUEUE = """
UPDATE messages SET visible_at = ?, holder = NULL, unanswered = unanswered - 1
WHERE message = ? AND holder = ?
"""
_ACK = "DELETE FROM messages WHERE message = ? AND holder = ?"

_log = structlog.get_logger()


class SqliteJobConsumer:
    """Takes messages, high lane first, and holds them until they are acknowledged."""

    def __init__(self, *, database: Database) -> None:
        self._database = database
        self._holder = new_id()
        self._held: set[int] = set()
        self._queues: tuple[str, ...] = ()
        self._places: list[tuple[str, int]] = []
        self._signal: ChangeSignal | None = None
        self._wake_signal = WakeSignal(database.path.parent)
        self._keeper: asyncio.Task[None] | None = None

    async def start(self, queues: Sequence[str]) -> None:
        """Open the queues and keep holding what gets delivered."""
        self._queues = tuple(queues)
        self.leave_out(frozenset())
        self._signal = ChangeSignal(self._database.path)
        self._wake_signal.open()
        names = [(f"queue:{queue}", queue) for queue in queues]
        await self._database.write(
            lambda connection: connection.executemany(
                "INSERT OR IGNORE INTO meta VALUES (?, ?)", names
            )
        )
        self._keeper = asyncio.create_task(self._keep(), name="sqlite-delivery-keeper")

    def leave_out(self, queues: frozenset[str]) -> None:
        """Take nothing from these queues until the next call."""
        served = [queue for queue in self._queues if queue not in queues]
        self._places = [(queue, lane) for lane in range(len(LANES)) for queue in served]

    async def receive(self, limit: int, wait: timedelta) -> Sequence[HeldDelivery]:
        """Return 1 to ``limit`` deliveries, or none after ``wait``."""
        if limit < 1 or self._signal is None:
            return []
        boottime = self._database.clock.boottime
        deadline = boottime() + wait.total_seconds()
        while True:
            self._wake_signal.woken.clear()
            self._signal.changed()
            # Most looks come right behind a delivery and find nothing: a transaction would hold up
            # the claim of what was delivered.
            if self._next_due() <= boottime() and (deliveries := await self._take(limit)):
                return deliveries
            if boottime() >= deadline or not await self._wait(deadline):
                return []

    async def acknowledge(self, number: int) -> None:
        """Remove a message that this consumer holds."""
        await self._database.write(
            lambda connection: connection.execute(_ACK, (number, self._holder))
        )
        self._held.discard(number)

    async def requeue(self, number: int) -> None:
        """Show a message that this consumer holds to everybody.

        Raises:
            BackendUnavailable: not confirmed; it shows up at the latest when its time is over.
        """
        self._held.discard(number)
        await self._update(_REQUEUE, [number], self._database.clock.boottime())

    async def stop(self) -> None:
        """Take nothing more; what is held shows up for others at once."""
        if self._signal is None or self._keeper is None:
            return
        self._wake_signal.close()
        self._wake_signal.woken.set()
        self._signal.close()
        self._signal = None
        self._keeper.cancel()
        await asyncio.gather(self._keeper, return_exceptions=True)
        await self._update(_REQUEUE, self._held, self._database.clock.boottime())
        self._held.clear()

    async def _take(self, limit: int) -> list[HeldDelivery]:
        rows = await self._database.write(lambda connection: self._claim(connection, limit))
        self._held.update(row[0] for row in rows)
        return held_deliveries(self, rows)

    def _claim(self, connection: sqlite3.Connection, limit: int) -> list[Row]:
        now = self._database.clock.boottime()
        rows: list[Row] = []
        for queue, lane in self._places:
            rows += connection.execute(_READY, (queue, lane, now, limit - len(rows)))
            if len(rows) == limit:
                break
        rows = _apart(rows)
        until = now + HOLD_SECONDS
        connection.executemany(_HOLD, [(until, self._holder, row[0]) for row in rows])
        return rows

    async def _wait(self, deadline: float) -> bool:
        """Whether something is visible before the deadline; looks cheaply until then."""
        boottime = self._database.clock.boottime
        due = self._next_due()
        while (now := boottime()) < deadline:
            if due <= now:
                return True
            await self._wait_for_signal(min(deadline, due) - now)
            # Before the look: a signal that comes after it must wake the next wait.
            self._wake_signal.woken.clear()
            if self._signal is None:
                return False
            if self._signal.changed():
                due = self._next_due()
        return False

    async def _wait_for_signal(self, seconds: float) -> None:
        """Wait for a wake signal, or until it is time to look without one."""
        pause = POLL_BESIDE_SIGNAL_SECONDS if self._wake_signal.is_open else POLL_SECONDS
        try:
            async with asyncio.timeout(max(min(pause, seconds), 0)):
                await self._wake_signal.woken.wait()
        except TimeoutError:
            return

    def _next_due(self) -> float:
        """Return when a message is due; now, if only a real look can tell what is wrong.

        Asked on this thread: a look takes some 10 µs, the way to another thread and back 100.
        """
        if self._signal is None:
            return float("inf")
        return self._signal.ask(self._next_visible, otherwise=0)

    def _next_visible(self, connection: sqlite3.Connection) -> float:
        times = (connection.execute(_NEXT, place).fetchone()[0] for place in self._places)
        return min((time for time in times if time is not None), default=float("inf"))

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(HOLD_RENEW_SECONDS)
            try:
                until = self._database.clock.boottime() + HOLD_SECONDS
                await self._update(_KEEP, self._held, until)
            except BackendUnavailable as error:
                _log.warning(HOLD_NOT_RENEWED, error=str(error))

    async def _update(self, statement: str, numbers: Iterable[int], visible_at: float) -> None:
        rows = [(visible_at, number, self._holder) for number in numbers]
        if rows:
            await self._database.write(lambda connection: connection.executemany(statement, rows))


def _apart(rows: Sequence[Row]) -> list[Row]:
    """Return the rows before the first one that came back unanswered, or that one alone.

    It may be what ended its worker. Taken together with others, it would count against them too.
    """
    fresh = list(takewhile(lambda row: row[3] == 0, rows))
    return fresh or list(rows[:1])
