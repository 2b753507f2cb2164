"""How a connection to the database file is opened, and what its errors mean."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

from jobfleet_contracts.cut_text import cut_text
from jobfleet_contracts.errors import BackendUnavailable

BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
CORRUPT = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})

_MEANINGS = {
    sqlite3.SQLITE_BUSY: "is locked by another process; find the one that is stopped or stuck",
    sqlite3.SQLITE_LOCKED: "is locked by another process; find the one that is stopped or stuck",
    sqlite3.SQLITE_READONLY: "is read-only; allow this user to write the file and its folder",
    sqlite3.SQLITE_IOERR: "cannot be read or written: the disk reports an error",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened; check the folder and its permissions",
    sqlite3.SQLITE_PERM: "may not be opened; check the permissions of the file",
    sqlite3.SQLITE_CORRUPT: "is damaged; stop all processes and restore it from a backup",
    sqlite3.SQLITE_NOTADB: "is damaged; stop all processes and restore it from a backup",
}


Explain = Callable[[BaseException], BaseException]
"""Returns the error that a caller gets."""

_OF_THE_DISK = frozenset({sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN})
"""Errors that SQLite also gives if a file of its own cannot be made or grow on a full disk."""
FULL_BYTES = 2 * 1024 * 1024
"""A disk with less room cannot take one large job."""


def is_full(path: Path) -> bool:
    """Return whether the disk that holds the file has no room for another job."""
    try:
        return shutil.disk_usage(path.parent).free < FULL_BYTES
    except OSError:
        return False


def no_space(path: Path) -> BackendUnavailable:
    """Return the error of a full disk."""
    return BackendUnavailable(
        f"no space left on the disk of {path.parent}; free some, or name another folder in "
        "JOBFLEET_DATA_DIR"
    )


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
    connection.create_function("casefold", 1, _casefold, deterministic=True)
    connection.create_function("cut_text", 2, cut_text, deterministic=True)
    return connection


def _casefold(value: object) -> str | None:
    """SQLite's own ``lower`` knows ASCII only."""
    return value.casefold() if isinstance(value, str) else None


def error_code(error: sqlite3.Error) -> int:
    """Return SQLite's primary result code, 0 where the driver raised by itself."""
    return int(getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF


def explain(error: BaseException, path: Path) -> BaseException:
    """Return the error for the caller: troubles of the file become ``BackendUnavailable``.

    Anything else is a mistake in a statement or a value, which no repetition mends.
    """
    code = error_code(error) if isinstance(error, sqlite3.Error) else 0
    if code == sqlite3.SQLITE_FULL or (code in _OF_THE_DISK and is_full(path)):
        full = no_space(path)
        full.__cause__ = error
        return full
    if code not in _MEANINGS and not isinstance(error, sqlite3.OperationalError):
        return error
    meaning = _MEANINGS.get(code, f"failed: {error}")
    explained = BackendUnavailable(f"database {path} {meaning}")
    explained.__cause__ = error
    return explained
