"""Hints to all workers: a small table that each of them follows."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from datetime import timedelta

from jobfleet_backends.sqlite.change_signal import ChangeSignal
from jobfleet_backends.sqlite.database import Database
from jobfleet_contracts.codec import format_time
from jobfleet_contracts.control import ControlSubject
from jobfleet_contracts.errors import BackendUnavailable

_KEPT = timedelta(hours=1)
_POLL_SECONDS = 0.1
_CANCEL, _CHANGE = "cancel", "change"
_NEWER = """
SELECT message, about FROM control_messages WHERE message > ? AND kind = ? ORDER BY message
"""


class SqliteControlChannel:
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

    async def send_cancel(self, job_id: str) -> None:
        """Tell every worker of a cancel request."""
        await self._send(_CANCEL, job_id)

    async def cancels(self) -> AsyncIterator[str]:
        """Yield job ids as requests come; ends when the backend is closed."""
        async for job_id in self._follow(_CANCEL):
            yield job_id

    async def announce_change(self, subject: ControlSubject, name: str) -> None:
        """Tell every worker that the control log has a new entry."""
        await self._send(_CHANGE, f"{subject.value}/{name}")

    async def changes(self) -> AsyncIterator[tuple[ControlSubject, str]]:
        """Yield subject and name as changes come; ends when the backend is closed."""
        async for about in self._follow(_CHANGE):
            subject, _, name = about.partition("/")
            yield ControlSubject(subject), name

    async def _send(self, kind: str, about: str) -> None:
        """Add a message, and forget those of more than an hour ago."""
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
