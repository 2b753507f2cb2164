"""Notifies the other processes: ``NOTIFY`` after the commit, in a transaction of its own.

``NOTIFY`` makes each commit that carries one wait for all others of the server, so it never stands
in a transaction that writes. A process sends at most one notification for a queue in ten
milliseconds. The first one goes out with the commit, in the same round trip.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

from jobfleet_backends.postgres.database import Database
from jobfleet_backends.postgres.listener import channel_of
from jobfleet_backends.postgres.session_threads import NOTIFY
from jobfleet_contracts.errors import BackendError

PAUSE_SECONDS = 0.01


class Notifier:
    """Notifies for a process's callers; a notification that fails is lost."""

    def __init__(self, *, database: Database) -> None:
        self._database = database
        self._channel = channel_of(database.schema)
        self._waiting: set[str] = set()
        self._sent: dict[str, float] = {}
        """When each payload was sent last, of those that were sent a moment ago."""
        self._tasks: dict[asyncio.AbstractEventLoop, asyncio.Task[None]] = {}

    def with_commit(self, payload: str | None) -> str | None:
        """Return the payload if it may be sent now; the caller then sends it with its commit.

        ``None``: call :meth:`notify` after the commit.
        """
        return payload if payload is not None and self._may_send(payload) else None

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
                if payloads := [each for each in self._waiting if self._may_send(each)]:
                    self._waiting -= set(payloads)
                    with suppress(BackendError):
                        await self._database.fetch(NOTIFY, self._channel, payloads)
                await asyncio.sleep(PAUSE_SECONDS)
        finally:
            self._tasks.pop(loop, None)

    def _may_send(self, payload: str) -> bool:
        """Whether the last one was sent long enough ago; then this one counts as sent."""
        now = time.monotonic()
        self._sent = {each: at for each, at in self._sent.items() if now - at < PAUSE_SECONDS}
        if payload in self._sent:
            return False
        self._sent[payload] = now
        return True
