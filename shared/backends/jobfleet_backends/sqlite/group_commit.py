"""The one thread that writes: everything queued goes into one transaction."""

from __future__ import annotations

import random
import sqlite3
import threading
import time
from collections.abc import Iterator

from jobfleet_backends.sql.operation_queue import (
    Answer,
    OperationQueue,
    QueuedOperation,
    deliver,
)
from jobfleet_backends.sqlite.connection import BUSY, Explain, error_code
from jobfleet_backends.sqlite.forks import ForkSafeConnection
from jobfleet_backends.sqlite.trail_insert import TrailInsert, insert_joined
from jobfleet_backends.sqlite.undecodable_text import is_undecodable, reading_any_text
from jobfleet_contracts.errors import BackendError

MAX_BATCH = 512


class GroupCommit:
    """Writer thread of one open database.

    An operation that fails for a reason of its own (a ``BackendError``) has written nothing and
    leaves the others alone. After any other failure the batch is rolled back, and each operation
    runs in a transaction of its own.
    """

    def __init__(
        self,
        *,
        connection: sqlite3.Connection,
        explain: Explain,
        queue: OperationQueue,
        busy_seconds: float,
    ) -> None:
        self._connection = connection
        self._held = ForkSafeConnection(connection)
        self._explain = explain
        self._queue = queue
        self._busy_seconds = busy_seconds
        self._thread = threading.Thread(target=self._run, name="sqlite-writer", daemon=True)

    def start(self) -> None:
        """Start the thread; it is a daemon, so that an unclosed backend ends with its process."""
        self._thread.start()

    def join(self) -> None:
        """Wait until the closed queue is worked off and the connection is closed."""
        self._thread.join()

    def _run(self) -> None:
        while queued := self._queue.take(MAX_BATCH):
            with self._held:
                answers = self._write(queued)
            deliver(answers)
        self._held.close()

    def _write(self, queued: list[QueuedOperation]) -> list[Answer]:
        try:
            return self._transaction(queued)
        except sqlite3.Error as error:
            if self._connection.text_factory is str and is_undecodable(error):
                with reading_any_text(self._connection):
                    return self._write(queued)
            if len(queued) == 1 or error_code(error) in BUSY:
                return [(future, None, self._explain(error)) for _, future in queued]
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the caller's answer
            if len(queued) == 1:
                return [(queued[0][1], None, error)]
        return [answer for operation in queued for answer in self._write([operation])]

    def _transaction(self, queued: list[QueuedOperation]) -> list[Answer]:
        self._begin()
        try:
            answers = list(self._run_each(queued))
        except BaseException:  # whatever it is, no transaction may stay open
            self._roll_back()
            raise
        try:
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._roll_back()
            return [(future, None, self._explain(error)) for _, future in queued]
        return answers

    def _run_each(self, queued: list[QueuedOperation]) -> Iterator[Answer]:
        connection = self._connection
        inserts = [operation for operation, _ in queued if isinstance(operation, TrailInsert)]
        joined = len(inserts) > 1 and insert_joined(connection, inserts)
        for operation, future in queued:
            if joined and isinstance(operation, TrailInsert):
                yield future, None, None
                continue
            try:
                yield future, operation(connection), None
            except BackendError as error:
                yield future, None, error

    def _begin(self) -> None:
        """Take the write lock; short random pauses, since SQLite's own grow to 100 ms."""
        deadline = time.monotonic() + self._busy_seconds
        pause = 0.0005
        while True:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                if error_code(error) not in BUSY or time.monotonic() > deadline:
                    raise
            else:
                return
            time.sleep(pause * random.uniform(0.5, 1.5))
            pause = min(pause * 1.3, 0.005)

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")
