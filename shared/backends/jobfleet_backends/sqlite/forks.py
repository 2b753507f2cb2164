"""A fork meets no connection at work, and its child keeps none of its parent's.

SQLite counts a process's locks on a file in memory. A forked child inherits the counts but not the
locks: a connection that it opens beside an inherited one holds no lock, other processes remove the
write-ahead log under it, and what it commits is lost. So inherited connections are closed before
the child opens its own. They can be closed safely only if none is inside a transaction: a rollback
would write to the memory that parent and child share. Source: SQLite's "How To Corrupt An SQLite
Database File", section 2.6, "Carrying an open database connection across a fork()"
(https://www.sqlite.org/howtocorrupt.html).
"""

from __future__ import annotations

import os
import sqlite3
import threading
from types import TracebackType

no_fork = threading.RLock()
"""A thread that opens a connection holds it until the connection is registered."""
_open: set[ForkSafeConnection] = set()


class ForkSafeConnection:
    """A connection that its one user enters for each use; a fork waits until it is left."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._in_use = threading.Lock()
        with no_fork:
            _open.add(self)

    def __enter__(self) -> sqlite3.Connection:
        self._in_use.acquire()
        return self._connection

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._in_use.release()

    def close(self) -> None:
        """Close the connection; safe to call twice."""
        with no_fork:  # first this one, as a fork does
            _open.discard(self)
            with self as connection:
                connection.close()

    def _close_in_child(self) -> None:
        self._connection.close()
        self._in_use.release()


def _before_fork() -> None:
    no_fork.acquire()
    for held in _open:
        held._in_use.acquire()


def _in_parent() -> None:
    for held in _open:
        held._in_use.release()
    no_fork.release()


def _in_child() -> None:
    for held in _open:
        held._close_in_child()
    _open.clear()
    no_fork.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_in_parent, after_in_child=_in_child)
