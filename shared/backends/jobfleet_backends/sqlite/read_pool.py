"""A few threads that read, each with its own connection and snapshot."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Sequence

from jobfleet_backends.sql.operation_queue import (
    Answer,
    OperationQueue,
    QueuedOperation,
    deliver,
)
from jobfleet_backends.sqlite.connection import Explain
from jobfleet_backends.sqlite.forks import ForkSafeConnection
from jobfleet_backends.sqlite.undecodable_text import is_undecodable, reading_any_text


class ReadPool:
    """Reader threads; several, so that a slow search does not hold up a claim's read."""

    def __init__(
        self, *, connections: Sequence[sqlite3.Connection], explain: Explain, queue: OperationQueue
    ) -> None:
        self._explain = explain
        self._queue = queue
        self._threads = [
            threading.Thread(
                target=self._run,
                args=(ForkSafeConnection(connection),),
                name=f"sqlite-reader-{number}",
                daemon=True,
            )
            for number, connection in enumerate(connections)
        ]

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        """Wait until the closed queue is worked off."""
        for thread in self._threads:
            thread.join()

    def _run(self, held: ForkSafeConnection) -> None:
        # One at a time: what waits behind a slow search goes to another thread.
        while queued := self._queue.take(1):
            with held as connection:
                answer = self._answer(connection, queued[0])
            deliver([answer])
        held.close()

    def _answer(self, connection: sqlite3.Connection, queued: QueuedOperation) -> Answer:
        operation, future = queued
        try:
            return future, operation(connection), None
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the caller's answer
            if connection.text_factory is str and is_undecodable(error):
                with reading_any_text(connection):
                    return self._answer(connection, queued)
            return future, None, self._explain(error)
