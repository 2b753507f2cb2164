"""The way into the work queues: rows that become visible when they are due."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from datetime import timedelta

from jobfleet_backends.sql.message_codec import encode_message
from jobfleet_backends.sql.row_codec import Row, marks
from jobfleet_backends.sqlite.database import Database
from jobfleet_backends.sqlite.wake_signal import WakeNotifier
from jobfleet_contracts.codec import format_time
from jobfleet_contracts.errors import BackendUnavailable
from jobfleet_contracts.index import QueueDepth
from jobfleet_contracts.job import LANES, lane_of
from jobfleet_contracts.message import JobMessage
from jobfleet_contracts.ports import Clock

_PUBLISH_LATER_SECONDS = 3.0
MESSAGE_COLUMNS = "queue, lane, visible_at, due_at, body, hints"
_INSERT = f"INSERT INTO messages ({MESSAGE_COLUMNS}) VALUES {marks(MESSAGE_COLUMNS)}"
_DEPTHS = """
SELECT queue, lane, sum(visible_at <= ?) FROM messages GROUP BY queue, lane
"""


def message_row(message: JobMessage, delay: timedelta, clock: Clock) -> Row:
    """Return the values of ``MESSAGE_COLUMNS`` of a message that shows up after the delay."""
    return (
        message.request.queue,
        LANES.index(lane_of(message.request.priority)),
        clock.boottime() + delay.total_seconds(),
        format_time(clock.now() + delay),
        *encode_message(message),
    )


class SqliteJobQueue:
    """Puts messages into their lanes; a delay only sets when a message becomes visible."""

    def __init__(self, *, database: Database) -> None:
        self._database = database
        self._notifier = WakeNotifier(database.path.parent)

    async def publish(self, message: JobMessage, *, timeout: float = 3.0) -> None:
        """Put a message into its lane; it is on the disk when this returns."""
        await self._publish(message, timedelta(0), timeout)

    async def publish_later(self, message: JobMessage, delay: timedelta) -> None:
        """Like ``publish``; the message shows up after the delay."""
        await self._publish(message, max(delay, timedelta(0)), _PUBLISH_LATER_SECONDS)

    async def depths(self) -> Sequence[QueueDepth]:
        """Return the ready messages of each lane of each queue that was ever used."""

        def operation(connection: sqlite3.Connection) -> list[QueueDepth]:
            now = self._database.clock.boottime()
            ready = {(queue, lane): n for queue, lane, n in connection.execute(_DEPTHS, (now,))}
            names = connection.execute("SELECT value FROM meta WHERE name LIKE 'queue:%'")
            queues = sorted({queue for queue, _ in ready} | {name for (name,) in names})
            return [
                QueueDepth(queue, name, ready.get((queue, lane), 0))
                for queue in queues
                for lane, name in enumerate(LANES)
            ]

        return await self._database.read(operation)

    async def _publish(self, message: JobMessage, delay: timedelta, timeout: float) -> None:
        row = message_row(message, delay, self._database.clock)
        try:
            async with asyncio.timeout(timeout):
                await self._database.write(lambda connection: connection.execute(_INSERT, row))
        except TimeoutError:
            raise BackendUnavailable(
                f"database {self._database.path} did not confirm the message within {timeout:g} s"
            ) from None
        self._notifier.notify()
