"""Rings the other processes: ``NOTIFY`` after the commit, in a transaction of its own.

``NOTIFY`` makes each commit that carries one wait for all others of the server, so it never stands
in a transaction that writes. At most one ring for a queue leaves a process in ten milliseconds.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from jobfleet_backends.postgres.database import Database
from jobfleet_backends.postgres.listener import channel_of
from jobfleet_contracts.errors import BackendError

PAUSE_SECONDS = 0.01
_RING = "SELECT pg_notify(%s, payload) FROM unnest(%s::text[]) AS payload"


class Ringer:
    """Rings for one event loop's callers; a ring that fails is none."""

    def __init__(self, *, database: Database) -> None:
        self._database = database
        self._channel = channel_of(database.schema)
        self._waiting: set[str] = set()
        self._tasks: dict[asyncio.AbstractEventLoop, asyncio.Task[None]] = {}

    def ring(self, payload: str) -> None:
        """Ring soon; returns at once and never fails."""
        self._waiting.add(payload)
        loop = asyncio.get_running_loop()
        if loop not in self._tasks:
            self._tasks[loop] = loop.create_task(self._ring(loop), name="postgres-ringer")

    async def close(self) -> None:
        """Wait until what was to be rung is rung."""
        task = self._tasks.get(asyncio.get_running_loop())
        if task is not None:
            await task

    async def _ring(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            while self._waiting:
                payloads, self._waiting = list(self._waiting), set()
                with suppress(BackendError):
                    await self._database.fetch(_RING, self._channel, payloads)
                await asyncio.sleep(PAUSE_SECONDS)
        finally:
            self._tasks.pop(loop, None)
