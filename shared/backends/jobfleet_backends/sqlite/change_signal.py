"""Sees commits of other connections and processes without reading a page."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

from jobfleet_backends.sqlite.connection import connect
from jobfleet_backends.sqlite.forks import ForkSafeConnection, no_fork
from jobfleet_contracts.errors import BackendUnavailable

POLL_SECONDS = 0.025
"""Pause between two looks for work. A look takes 3 µs, waking up for it some 100 µs."""
POLL_BESIDE_SIGNAL_SECONDS = 0.25
"""The same where others send wake signals: only a lost signal is found by looking."""


class ChangeSignal:
    """Asks ``PRAGMA data_version``, which moves with each commit; one owner, one event loop."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with no_fork:
            self._held = ForkSafeConnection(connect(path, busy_seconds=0))
        self._seen = -1

    def changed(self) -> bool:
        """Whether a process committed since the last call; ``True`` at the first."""
        try:
            with self._held as connection:
                (version,) = connection.execute("PRAGMA data_version").fetchone()
        except sqlite3.OperationalError:
            return True
        except sqlite3.ProgrammingError as error:
            raise BackendUnavailable(f"database {self._path} has been closed") from error
        moved = version != self._seen
        self._seen = version
        return bool(moved)

    def ask(self, question: Callable[[sqlite3.Connection], float], *, otherwise: float) -> float:
        """Answer a short question at once, on this thread; ``otherwise`` if SQLite cannot."""
        try:
            with self._held as connection:
                return question(connection)
        except sqlite3.Error:
            return otherwise

    def close(self) -> None:
        """Close the connection; safe to call twice."""
        self._held.close()
