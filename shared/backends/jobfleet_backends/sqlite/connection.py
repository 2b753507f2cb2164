"""How a connection to the database file is opened, and what its errors mean."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

from jobfleet_contracts.errors import BackendUnavailable

BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
CORRUPT = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})

_MEANINGS = {
    sqlite3.SQLITE_BUSY: "is locked by another process; find the one that is stopped or stuck",
    sqlite3.SQLITE_LOCKED: "is locked by another process; find the one that is stopped or stuck",
    sqlite3.SQLITE_FULL: "cannot grow: the disk is full; free space on it",
    sqlite3.SQLITE_READONLY: "is read-only; allow this user to write the file and its folder",
    sqlite3.SQLITE_IOERR: "cannot be read or written: the disk reports an error",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened; check the folder and its permissions",
    sqlite3.SQLITE_PERM: "may not be opened; check the permissions of the file",
    sqlite3.SQLITE_CORRUPT: "is damaged; stop all processes and restore it from a backup",
    sqlite3.SQLITE_NOTADB: "is damaged; stop all processes and restore it from a backup",
}


Explain = Callable[[BaseException], BaseException]
"""Returns what a caller is told of an error."""


def connect(path: Path, *, busy_seconds: float = 5.0) -> sqlite3.Connection:
    """Open a connection in autocommit mode that may be handed to another thread.

    ``synchronous=FULL`` makes each commit wait for the disk; in WAL mode ``NORMAL`` would lose
    acknowledged events at a power cut. Group commit makes it cheap.
    """
    connection = sqlite3.connect(
        path,
        timeout=busy_seconds,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=256,
    )
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA cache_size=-16000")
    connection.execute("PRAGMA temp_store=MEMORY")
    return connection


def error_code(error: sqlite3.Error) -> int:
    """Return SQLite's primary result code, 0 where the driver raised by itself."""
    return int(getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF


def explain(error: BaseException, path: Path) -> BaseException:
    """Return what a caller is told: troubles of the file become ``BackendUnavailable``.

    Anything else is a mistake in a statement or a value, which no repetition mends.
    """
    code = error_code(error) if isinstance(error, sqlite3.Error) else 0
    if code not in _MEANINGS and not isinstance(error, sqlite3.OperationalError):
        return error
    meaning = _MEANINGS.get(code, f"failed: {error}")
    told = BackendUnavailable(f"database {path} {meaning}")
    told.__cause__ = error
    return told
