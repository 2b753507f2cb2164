"""The database file: opening it, reading and writing it from any event loop."""

from __future__ import annotations

import asyncio
import errno
import sqlite3
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from jobfleet_backends.private_files import make_private_file, make_private_folder, tighten
from jobfleet_backends.sql.operation_queue import Operation, OperationQueue, T
from jobfleet_backends.sql.row_codec import Row
from jobfleet_backends.sqlite.connection import (
    BUSY,
    CORRUPT,
    connect,
    error_code,
    explain,
    is_full,
    no_space,
)
from jobfleet_backends.sqlite.forks import no_fork
from jobfleet_backends.sqlite.group_commit import GroupCommit
from jobfleet_backends.sqlite.read_pool import ReadPool
from jobfleet_backends.sqlite.schema import SCHEMA, VERSION
from jobfleet_contracts.codec import format_time, parse_time
from jobfleet_contracts.errors import BackendUnavailable, SettingsError
from jobfleet_contracts.own_thread import in_own_thread
from jobfleet_contracts.ports import Clock

FILE_NAME = "jobfleet.db"
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
_BESIDE = ("-wal", "-shm")
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Database:
    """One open database file: a writer thread with group commit, and reader threads.

    Several processes may hold the same file open. ``write`` and ``read`` return futures of the
    calling event loop; ``write`` queues at once, in the order of the calls.

    Attributes:
        damage: SQLite's message about a damaged page, ``None`` as long as it has met none.
    """

    def __init__(self, *, path: Path, clock: Clock, busy_seconds: float = 5.0, readers: int = 3):
        self.path = path
        self.clock = clock
        self._busy_seconds = busy_seconds
        self._readers = readers
        self._writes = OperationQueue(backend="embedded")
        self._reads = OperationQueue(backend="embedded")
        self._threads: list[GroupCommit | ReadPool] = []
        self.damage: str | None = None

    def open(self) -> None:
        """Create or open the file and start the threads; blocks for some milliseconds.

        Raises:
            SettingsError: the folder or file cannot be used; names it and the remedy.
            BackendUnavailable: no space is left on its disk.
        """
        try:
            make_private_folder(self.path.parent)
            _make_private(self.path)
            with no_fork:
                writer = self._prepare()
                readers = [connect(self.path) for _ in range(self._readers)]
                self._threads = [self._writer_of(writer), self._readers_of(readers)]
        except OSError as error:
            if error.errno in _NO_SPACE:
                raise no_space(self.path) from error
            raise SettingsError(
                f"JOBFLEET_DATA_DIR: folder {self.path.parent} cannot be made: {error.strerror}; "
                "name a folder that this user may write"
            ) from error
        except sqlite3.Error as error:
            raise _refusal(error, self.path) from error
        for thread in self._threads:
            thread.start()

    def write(self, operation: Operation[T]) -> asyncio.Future[T]:
        """Queue an operation for the next transaction; its result comes after the commit."""
        return self._writes.post(operation)

    def write_soon(self, operation: Operation[T]) -> asyncio.Future[T]:
        """Queue an operation that no caller awaits; it goes with the next one, or within 5 ms."""
        return self._writes.post_soon(operation)

    def hurry(self) -> None:
        """A caller waits after all for what was to be written soon."""
        self._writes.release()

    def read(self, operation: Operation[T]) -> asyncio.Future[T]:
        """Run an operation on committed data."""
        return self._reads.post(operation)

    async def fetch_as(self, decode: Callable[[Row], T], statement: str, *values: Any) -> list[T]:
        """Return what ``decode``, called in the reader's thread, makes of each row."""
        return await self.read(
            lambda connection: [*map(decode, connection.execute(statement, values).fetchall())]
        )

    async def close(self) -> None:
        """Write what is queued, close connections, join the threads. Safe to call twice."""
        self._writes.close()
        self._reads.close()
        for thread in self._threads:
            await in_own_thread(thread.join, name="close-threads")

    def _explain(self, error: BaseException) -> BaseException:
        """Remember damage: another question may meet a sound page and know nothing of it."""
        explained = explain(error, self.path)
        if isinstance(error, sqlite3.Error) and error_code(error) in CORRUPT:
            self.damage = str(explained)
        return explained

    def _writer_of(self, connection: sqlite3.Connection) -> GroupCommit:
        return GroupCommit(
            connection=connection,
            explain=self._explain,
            queue=self._writes,
            busy_seconds=self._busy_seconds,
        )

    def _readers_of(self, connections: list[sqlite3.Connection]) -> ReadPool:
        return ReadPool(connections=connections, explain=self._explain, queue=self._reads)

    def _prepare(self) -> sqlite3.Connection:
        connection = connect(self.path, busy_seconds=self._busy_seconds)
        _use_wal(connection, self._busy_seconds)
        connection.execute("BEGIN IMMEDIATE")
        _create(connection, self.path)
        _set_clocks(connection, self.clock)
        connection.execute("COMMIT")
        connection.execute("PRAGMA busy_timeout=0")
        return connection


def _make_private(path: Path) -> None:
    """Make the files readable for this user only: they hold the payloads of all jobs.

    SQLite gives a new ``-wal`` and ``-shm`` the mode of the database. The database must be made
    before SQLite connects, which would make it with the mode that the umask leaves.
    """
    with suppress(PermissionError):  # SQLite says what is wrong
        make_private_file(path)
        for suffix in _BESIDE:
            with suppress(FileNotFoundError):
                tighten(path.with_name(path.name + suffix))


def _use_wal(connection: sqlite3.Connection, seconds: float) -> None:
    """SQLite does not wait by itself where two processes switch a new file to WAL at once."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error_code(error) not in BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def _create(connection: sqlite3.Connection, path: Path) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version == VERSION:
        return
    if version != 0:
        raise SettingsError(
            f"JOBFLEET_DATA_DIR: {path} was written by another release of jobfleet (format "
            f"{version}, this one knows {VERSION}); use that release or name another folder"
        )
    for statement in _statements(SCHEMA):
        connection.execute(statement)
    connection.execute(f"PRAGMA user_version={VERSION}")


def _statements(script: str) -> list[str]:
    """Split a script; ``executescript`` would commit the open transaction."""
    statements, current = [], ""
    for line in script.splitlines(keepends=True):
        current += line
        if sqlite3.complete_statement(current):
            statements.append(current)
            current = ""
    return statements


def _set_clocks(connection: sqlite3.Connection, clock: Clock) -> None:
    """After a reboot the boot clock starts anew: due times come from the wall, leases end."""
    boot = _boot_id()
    stored = connection.execute("SELECT value FROM meta WHERE name = 'boot'").fetchone()
    if stored == (boot,):
        return
    now, boottime = clock.now(), clock.boottime()
    connection.execute("UPDATE locks SET lease_id = NULL, expires = 0")
    later = connection.execute(
        "SELECT message, due_at FROM messages WHERE due_at > ?", (format_time(now),)
    ).fetchall()
    connection.execute("UPDATE messages SET visible_at = ?, holder = NULL", (boottime,))
    connection.executemany(
        "UPDATE messages SET visible_at = ? WHERE message = ?",
        [
            (boottime + (parse_time(due_at) - now).total_seconds(), message)
            for message, due_at in later
        ],
    )
    connection.execute("INSERT OR REPLACE INTO meta VALUES ('boot', ?)", (boot,))


def _boot_id() -> str:
    if _BOOT_ID.exists():
        return _BOOT_ID.read_text().strip()
    command = ["sysctl", "-n", "kern.bootsessionuuid"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    except OSError:
        return ""


def _refusal(error: sqlite3.Error, path: Path) -> SettingsError | BackendUnavailable:
    if error_code(error) == sqlite3.SQLITE_FULL or is_full(path):
        return no_space(path)
    if error_code(error) in CORRUPT:
        return SettingsError(
            f"JOBFLEET_DATA_DIR: {path} is damaged or no database of jobfleet ({error}); move it "
            "away or restore it from a backup, or name another folder"
        )
    return SettingsError(
        f"JOBFLEET_DATA_DIR: {path} cannot be opened ({error}); allow this user to write the file "
        "and its folder, or name another folder"
    )
