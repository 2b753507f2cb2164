"""Hints to all workers: a small table that each of them follows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from typing_extensions import override

from jobfleet_backends.postgres.database import Database
from jobfleet_backends.postgres.listener import Listener
from jobfleet_backends.postgres.notifier import Notifier
from jobfleet_backends.sql.control_channel import SqlControlChannel
from jobfleet_contracts.errors import BackendUnavailable

POLL_SECONDS = 1.0
_CONTROL = "control"
_LAST = "SELECT coalesce(max(message), 0) FROM jobfleet.control_messages"
_SEND = """
WITH old AS (
    DELETE FROM jobfleet.control_messages WHERE message IN (
        SELECT message FROM jobfleet.control_messages
        WHERE sent_at < clock_timestamp() - interval '1 hour' LIMIT 1000 FOR UPDATE SKIP LOCKED
    )
)
INSERT INTO jobfleet.control_messages (kind, about) VALUES (%s, %s)
"""
# A smaller number may be committed after a greater one: recent ones are read again, and those that
# were seen are left out.
_NEWER = """
SELECT message, about FROM jobfleet.control_messages
WHERE kind = %s AND message > %s AND message <> ALL(%s)
AND (message > %s OR sent_at > clock_timestamp() - interval '30 seconds') ORDER BY message
"""
_MOST_SEEN = 1000


class PostgresControlChannel(SqlControlChannel):
    """Each iterator sees what was sent since the backend was opened."""

    def __init__(self, *, database: Database, listener: Listener, notifier: Notifier) -> None:
        self._database = database
        self._listener = listener
        self._notifier = notifier
        self._opened_at: int | None = None
        self._closed = False
        self._wakers: set[asyncio.Event] = set()

    async def start(self) -> None:
        """Remember where the table stands; where the server is away, an iterator does it."""
        try:
            await self._find_end()
        except BackendUnavailable:
            return

    def stop(self) -> None:
        """End all iterators."""
        self._closed = True
        for waker in self._wakers:
            waker.set()

    @override
    async def _send(self, kind: str, about: str) -> None:
        await self._database.execute(_SEND, kind, about)
        self._notifier.notify(_CONTROL)

    async def _find_end(self) -> int:
        if self._opened_at is None:
            ((end,),) = await self._database.fetch(_LAST)
            self._opened_at = int(end)
        return self._opened_at

    @override
    async def _follow(self, kind: str) -> AsyncIterator[str]:
        waker = asyncio.Event()

        def hear(payload: str) -> None:
            if payload in {_CONTROL, ""}:
                waker.set()

        self._listener.add(hear)
        self._wakers.add(waker)
        seen: list[int] = []
        try:
            while not self._closed:
                waker.clear()
                for message, about in await self._newer(kind, seen):
                    seen = [*seen, message][-_MOST_SEEN:]
                    yield about
                await _wait(waker)
        finally:
            self._listener.remove(hear)
            self._wakers.discard(waker)

    async def _newer(self, kind: str, seen: list[int]) -> list[tuple[int, str]]:
        try:
            begin = await self._find_end()
            rows = await self._database.fetch(_NEWER, kind, begin, seen, max(seen, default=begin))
        except BackendUnavailable:
            if self._closed:
                return []
            raise
        return [(message, about) for message, about in rows]


async def _wait(waker: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(POLL_SECONDS):
            await waker.wait()
    except TimeoutError:
        return
