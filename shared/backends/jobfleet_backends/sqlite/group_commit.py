"""The one thread that writes: everything queued goes into one transaction."""

from __future__ import annotations

import random
import sqlite3
import threading
import time
from collections.abc import Iterator

from jobfleet_backends.sqlite.connection import BUSY, Explain, error_code
from jobfleet_backends.sqlite.mailbox import Answer, Letter, Mailbox, deliver
from jobfleet_backends.sqlite.trail_insert import TrailInsert, insert_joined
from jobfleet_contracts.errors import BackendError

MAX_BATCH = 512


class GroupCommit:
    """Writer thread of one open database.

    An operation that fails for a reason of its own (a ``BackendError``) has written nothing and
    leaves its neighbours alone; any other failure rolls the batch back and runs each operation
    in a transaction of its own.
    """

    def __init__(
        self,
        *,
        connection: sqlite3.Connection,
        explain: Explain,
        mailbox: Mailbox,
        busy_seconds: float,
    ) -> None:
        self._connection = connection
        self._explain = explain
        self._mailbox = mailbox
        self._busy_seconds = busy_seconds
        self._thread = threading.Thread(target=self._run, name="sqlite-writer", daemon=True)

    def start(self) -> None:
        """Start the thread; it is a daemon, so that an unclosed backend ends with its process."""
        self._thread.start()

    def join(self) -> None:
        """Wait until the closed mailbox is worked off and the connection is closed."""
        self._thread.join()

    def _run(self) -> None:
        while letters := self._mailbox.take(MAX_BATCH):
            deliver(self._write(letters))
        self._connection.close()

    def _write(self, letters: list[Letter]) -> list[Answer]:
        try:
            return self._transaction(letters)
        except sqlite3.Error as error:
            if len(letters) == 1 or error_code(error) in BUSY:
                return [(future, None, self._explain(error)) for _, future in letters]
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the caller's answer
            if len(letters) == 1:
                return [(letters[0][1], None, error)]
        return [answer for letter in letters for answer in self._write([letter])]

    def _transaction(self, letters: list[Letter]) -> list[Answer]:
        self._begin()
        try:
            answers = list(self._run_each(letters))
        except BaseException:  # whatever it is, no transaction may stay open
            self._roll_back()
            raise
        try:
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._roll_back()
            return [(future, None, self._explain(error)) for _, future in letters]
        return answers

    def _run_each(self, letters: list[Letter]) -> Iterator[Answer]:
        connection = self._connection
        inserts = [operation for operation, _ in letters if isinstance(operation, TrailInsert)]
        joined = len(inserts) > 1 and insert_joined(connection, inserts)
        for operation, future in letters:
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
