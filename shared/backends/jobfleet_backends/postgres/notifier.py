"""Notifies the other processes: ``NOTIFY`` after the commit, in a transaction of its own.

``NOTIFY`` makes each commit that carries one wait for all others of the server, so it never stands
in a transaction that writes. A process sends at most one notification for a queue in ten
milliseconds.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from jobfleet_backends.postgres.database import Database
from jobfleet_backends.postgres.listener import channel_of
from jobfleet_contracts.errors import BackendError

PAUSE_SECONDS = 0.01
_NOTIFY = "SELECT pg_notify(%s, payload) FROM unnest(%s::text[]) AS payload"


class Notifier:
    """Notifies for one event loop's callers; a notification that fails is lost."""

    def __init__(self, *, database: Database) -> None:
        self._database = database
        self._channel = channel_of(database.schema)
        self._waiting: set[str] = set()
        self._tasks: dict[asyncio.AbstractEventLoop, asyncio.Task[None]] = {}

    def notify(self, payload: str) -> None:
        """Notify soon; returns at once and never fails."""
        self._waiting.add(payload)
        loop = asyncio.get_running_loop()
        if loop not in self._tasks:
            self._tasks[loop] = loop.create_task(self._notify(loop), name="postgres-notifier")

    async def close(self) -> None:
        """Wait until every notification has been sent."""
        task = self._tasks.get(asyncio.get_running_loop())
        if task is not None:
            await task

    async def _notify(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            while self._waiting:
                payloads, self._waiting = list(self._waiting), set()
                with suppress(BackendError):
                    await self._database.fetch(_NOTIFY, self._channel, payloads)
                await asyncio.sleep(PAUSE_SECONDS)
        finally:
            self._tasks.pop(loop, None)
