"""Receives notifications of other processes: ``LISTEN`` on one session per process, in a thread.

A notification is a hint. It is lost while the session is away, and behind a pooler no session
listens. So each consumer that waits for one also looks by itself.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import psycopg
import structlog

from jobfleet_backends.postgres.connection import Address, Session, cut, is_pooled
from jobfleet_contracts.job_id import new_id
from jobfleet_contracts.own_thread import in_own_thread

LISTENING_LOST = "postgres.listening_lost"
_LOOK_SECONDS = 15.0
_AGAIN_SECONDS = 1.0

_log = structlog.get_logger()

LISTENING = "listening"
"""The payload after this session's own notification arrived: notifications do arrive on it."""
Hear = Callable[[str], None]
"""Takes a notification's payload, in the event loop that asked. Empty: one may have been missed."""


def channel_of(schema: str) -> str:
    """Return the channel of all notifications of a fleet."""
    return f"{schema}_wake"


class Listener:
    """One thread that listens; it starts with the first who wants to hear."""

    def __init__(self, *, address: Address, schema: str) -> None:
        self._address = address
        self._channel = channel_of(schema)
        self._hearers: dict[Hear, asyncio.AbstractEventLoop] = {}
        self._turn = threading.Lock()
        self._closed = threading.Event()
        self._session: Session | None = None
        self._lost = False
        self._thread: threading.Thread | None = None

    def add(self, hear: Hear) -> None:
        """Call ``hear`` in the running loop for each notification from now on."""
        with self._turn:
            self._hearers[hear] = asyncio.get_running_loop()
            if self._thread is None and not self._closed.is_set():
                self._thread = threading.Thread(
                    target=self._run, name="postgres-listener", daemon=True
                )
                self._thread.start()

    def remove(self, hear: Hear) -> None:
        """Call it no more; do nothing if it was removed before."""
        with self._turn:
            self._hearers.pop(hear, None)

    async def close(self) -> None:
        """End the thread; safe to call twice."""
        self._closed.set()
        session, thread = self._session, self._thread
        if session is not None and not session.closed:
            cut(session)
        if thread is not None:
            await in_own_thread(thread.join, name="close-threads")

    def _run(self) -> None:
        while not self._closed.is_set():
            try:
                self._session = self._address.connect()
                with self._session as session:
                    self._listen(session)
            except psycopg.Error as error:
                if not self._lost and not self._closed.is_set():
                    problem = self._address.explain(error)
                    _log.warning(LISTENING_LOST, error=str(problem))
                self._lost = True
                self._closed.wait(_AGAIN_SECONDS)

    def _listen(self, session: Session) -> None:
        if is_pooled(session):
            self._closed.wait()
            return
        session.execute(f'LISTEN "{self._channel}"'.encode())
        self._lost = False
        self._tell("")
        own = f"{LISTENING} {new_id()}"
        session.execute("SELECT pg_notify(%s, %s)", (self._channel, own))
        while not self._closed.is_set():
            for notification in session.notifies(timeout=_LOOK_SECONDS):
                self._tell(LISTENING if notification.payload == own else notification.payload)
            # A session whose server is gone says nothing by itself.
            session.execute("SELECT 1")

    def _tell(self, payload: str) -> None:
        with self._turn:
            hearers = list(self._hearers.items())
        for hear, loop in hearers:
            try:
                loop.call_soon_threadsafe(hear, payload)
            except RuntimeError:  # the loop has been closed: no task waits any more
                self.remove(hear)
