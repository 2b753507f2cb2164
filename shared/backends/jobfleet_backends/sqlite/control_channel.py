"""Cancel requests to all workers: a small table that each of them follows."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from datetime import timedelta

from jobfleet_backends.sqlite.change_signal import ChangeSignal
from jobfleet_backends.sqlite.database import Database
from jobfleet_contracts.codec import format_time
from jobfleet_contracts.errors import BackendUnavailable

_KEPT = timedelta(hours=1)
_POLL_SECONDS = 0.1
_NEWER = "SELECT request, job_id FROM cancel_requests WHERE request > ? ORDER BY request"


class SqliteControlChannel:
    """Each iterator sees the requests that were sent since the backend was opened."""

    def __init__(self, *, database: Database) -> None:
        self._database = database
        self._opened_at = 0
        self._closed = False

    async def start(self) -> None:
        """Remember where the table stands."""
        self._opened_at = await self._database.read(_last_request)

    def stop(self) -> None:
        """End all iterators."""
        self._closed = True

    async def send_cancel(self, job_id: str) -> None:
        """Add a request, and forget those of more than an hour ago."""
        now = self._database.clock.now()

        def operation(connection: sqlite3.Connection) -> None:
            connection.execute(
                "INSERT INTO cancel_requests (job_id, sent_at) VALUES (?, ?)",
                (job_id, format_time(now)),
            )
            connection.execute(
                "DELETE FROM cancel_requests WHERE sent_at < ?", (format_time(now - _KEPT),)
            )

        await self._database.write(operation)

    async def cancels(self) -> AsyncIterator[str]:
        """Yield job ids as requests come; ends when the backend is closed."""
        signal = ChangeSignal(self._database.path)
        seen = self._opened_at
        try:
            while not self._closed:
                if signal.changed():
                    for request, job_id in await self._newer(seen):
                        seen = request
                        yield job_id
                await asyncio.sleep(_POLL_SECONDS)
        finally:
            signal.close()

    async def _newer(self, seen: int) -> list[tuple[int, str]]:
        try:
            return await self._database.read(
                lambda connection: connection.execute(_NEWER, (seen,)).fetchall()
            )
        except BackendUnavailable:
            if self._closed:
                return []
            raise


def _last_request(connection: sqlite3.Connection) -> int:
    (last,) = connection.execute("SELECT max(request) FROM cancel_requests").fetchone()
    return last or 0
