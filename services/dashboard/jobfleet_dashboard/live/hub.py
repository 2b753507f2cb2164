"""One tail of the timeline per process, shared by everybody who watches."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

from jobfleet_contracts.errors import BackendError
from jobfleet_contracts.index import EventQuery, TimelineEntry
from jobfleet_contracts.ports import JobIndexReader
from jobfleet_dashboard.live.subscription import Subscription

TAIL_INTERRUPTED = "tail.interrupted"
TAIL_RESUMED = "tail.resumed"
POLL_SECONDS = 0.25
PAGE = 500
_RETRY_SECONDS = 2.0
_FIRST_LOOK_SECONDS = 5.0

_log = structlog.get_logger()


class LiveHub:
    """Polls the index every 250 ms while a page listens, never otherwise.

    Listeners take batches from bounded queues; a slow one is dropped, the others never wait.
    """

    def __init__(self, *, reader: JobIndexReader) -> None:
        self._reader = reader
        self._listeners: set[Subscription] = set()
        self._tail: asyncio.Task[None] | None = None
        self._cursor = ""
        self._looked = asyncio.Event()
        self._stopping = asyncio.Event()

    @property
    def cursor(self) -> str:
        """Cursor of the last event handed out. What is read from now on is not older."""
        return self._cursor

    async def stop(self) -> None:
        """End all streams and the tail; safe to call twice."""
        self._stopping.set()
        for listener in self._listeners:
            listener.end()
        tail, self._tail = self._tail, None
        if tail is not None:
            tail.cancel()
            await asyncio.wait([tail])

    @asynccontextmanager
    async def subscribe(self, *, job_id: str | None = None) -> AsyncIterator[Subscription]:
        """Listen to every event, or to one job's.

        Nothing is missed that is committed to the index after this is entered, as long as the
        backend answers.
        """
        subscription = Subscription(job_id=job_id)
        if self._stopping.is_set():
            subscription.end()
        self._listeners.add(subscription)
        try:
            self._ensure_tail()
            await self._first_look()
            yield subscription
        finally:
            self._listeners.discard(subscription)

    def _ensure_tail(self) -> None:
        if (self._tail is None or self._tail.done()) and not self._stopping.is_set():
            self._looked.clear()
            self._tail = asyncio.create_task(self._follow(), name="live-tail")

    async def _first_look(self) -> None:
        """Wait until the tail knows where it begins; not for ever while the backend is away."""
        if self._stopping.is_set():
            return
        try:
            async with asyncio.timeout(_FIRST_LOOK_SECONDS):
                await self._looked.wait()
        except TimeoutError:
            return

    async def _follow(self) -> None:
        cursor: str | None = None
        healthy = True
        while self._listeners:
            pause = POLL_SECONDS
            try:
                cursor, full = await self._poll(cursor)
                pause = 0 if full else POLL_SECONDS
                if not healthy:
                    _log.info(TAIL_RESUMED)
                healthy = True
            except BackendError as error:
                if healthy:
                    _log.warning(TAIL_INTERRUPTED, error=str(error))
                healthy, pause = False, _RETRY_SECONDS
            except Exception:  # noqa: BLE001 - an unforeseen error must not end every live page
                if healthy:
                    _log.exception(TAIL_INTERRUPTED)
                healthy, pause = False, _RETRY_SECONDS
            await asyncio.sleep(pause)

    async def _poll(self, cursor: str | None) -> tuple[str | None, bool]:
        """Hand out what is new; the very first look only finds where to begin."""
        entries = await self._reader.since(cursor, limit=PAGE)
        begun = self._looked.is_set()
        self._looked.set()
        if not entries:
            return cursor, False
        if cursor is None and begun:
            entries = await self._first_ever(entries[-1].cursor)
        if cursor is not None or begun:
            self._listeners = {one for one in self._listeners if one.offer(entries)}
            self._cursor = entries[-1].cursor
        return entries[-1].cursor, len(entries) == PAGE

    async def _first_ever(self, cursor: str) -> list[TimelineEntry]:
        """The index was empty when the tail began, so every row in it is new."""
        page = await self._reader.events(EventQuery(limit=PAGE))
        return [TimelineEntry(event, cursor) for event in reversed(page.items)]
