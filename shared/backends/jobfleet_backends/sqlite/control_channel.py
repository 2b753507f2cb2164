"""Hints to all workers: a small table that each of them follows."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from datetime import timedelta

from typing_extensions import override

from jobfleet_backends.sql.control_channel import SqlControlChannel
from jobfleet_backends.sqlite.change_signal import ChangeSignal
from jobfleet_backends.sqlite.database import Database
from jobfleet_contracts.codec import format_time
from jobfleet_contracts.errors import BackendUnavailable

_KEPT = timedelta(hours=1)
_POLL_SECONDS = 0.1
_NEWER = """
SELECT message, about FROM control_messages WHERE message > ? AND kind = ? ORDER BY message
"""


class SqliteControlChannel(SqlControlChannel):
    """Each iterator sees what was sent since the backend was opened."""

    def __init__(self, *, database: Database) -> None:
        self._database = database
        self._opened_at = 0
        self._closed = False

    async def start(self) -> None:
        """Remember where the table stands."""
        self._opened_at = await self._database.read(_last_message)

    def stop(self) -> None:
        """End all iterators."""
        self._closed = True

    @override
    async def _send(self, kind: str, about: str) -> None:
        now = self._database.clock.now()

        def operation(connection: sqlite3.Connection) -> None:
            connection.execute(
                "INSERT INTO control_messages (kind, about, sent_at) VALUES (?, ?, ?)",
                (kind, about, format_time(now)),
            )
            connection.execute(
                "DELETE FROM control_messages WHERE sent_at < ?", (format_time(now - _KEPT),)
            )

        await self._database.write(operation)

    @override
    async def _follow(self, kind: str) -> AsyncIterator[str]:
        signal = ChangeSignal(self._database.path)
        seen = self._opened_at
        try:
            while not self._closed:
                if signal.changed():
                    for message, about in await self._newer(seen, kind):
                        seen = message
                        yield about
                await asyncio.sleep(_POLL_SECONDS)
        finally:
            signal.close()

    async def _newer(self, seen: int, kind: str) -> list[tuple[int, str]]:
        try:
            return await self._database.read(
                lambda connection: connection.execute(_NEWER, (seen, kind)).fetchall()
            )
        except BackendUnavailable:
            if self._closed:
                return []
            raise


def _last_message(connection: sqlite3.Connection) -> int:
    (last,) = connection.execute("SELECT max(message) FROM control_messages").fetchone()
    return last or 0
