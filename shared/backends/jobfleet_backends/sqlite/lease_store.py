"""Leases and notes of locks, after the documented rules of Azure's blob leases."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from datetime import datetime

import orjson

from jobfleet_backends.sqlite.database import Database
from jobfleet_contracts.codec import encode_text
from jobfleet_contracts.errors import LeaseConflict, LockMissing

_ACQUIRE_NEW = """
INSERT INTO locks (lease_id, expires, lock) VALUES (?, ?, ?) ON CONFLICT (lock) DO UPDATE
SET lease_id = excluded.lease_id, expires = excluded.expires
WHERE locks.lease_id IS NULL OR locks.lease_id = ? OR locks.expires <= ?
"""
_ACQUIRE = """
UPDATE locks SET lease_id = ?, expires = ?
WHERE lock = ? AND (lease_id IS NULL OR lease_id = ? OR expires <= ?)
"""


class SqliteLeaseStore:
    """Locks with at most one lease; an expired lease id may renew until another one leases.

    Times are seconds of the machine's boot clock, which all processes here share.
    """

    def __init__(self, *, database: Database) -> None:
        self._database = database
        self._boottime = database.clock.boottime

    async def create(self, lock: str) -> None:
        """Create the lock if it is not there."""
        statement = "INSERT OR IGNORE INTO locks (lock) VALUES (?)"
        await self._database.write(lambda connection: connection.execute(statement, (lock,)))

    async def acquire(
        self, lock: str, lease_id: str, seconds: float, *, create: bool = False
    ) -> None:
        """Lease the lock, or start the time of one's own lease anew."""
        statement = _ACQUIRE_NEW if create else _ACQUIRE

        def operation(connection: sqlite3.Connection) -> None:
            now = self._boottime()
            values = (lease_id, now + seconds, lock, lease_id, now)
            if connection.execute(statement, values).rowcount == 0:
                _lease(connection, lock)
                raise LeaseConflict(f"lock {lock} has another holder")

        await self._database.write(operation)

    async def renew(self, lock: str, lease_id: str, seconds: float) -> None:
        """Start the lease's time anew, even after it ran out if it was not leased since."""

        def operation(connection: sqlite3.Connection) -> None:
            holder, _ = _lease(connection, lock)
            if holder != lease_id:
                raise LeaseConflict(f"lock {lock} was released or has another holder")
            _set_lease(connection, lock, lease_id, self._boottime() + seconds)

        await self._database.write(operation)

    async def release(self, lock: str, lease_id: str) -> None:
        """Give the lease up; do nothing if it is not held."""
        statement = "UPDATE locks SET lease_id = NULL, expires = 0 WHERE lock = ? AND lease_id = ?"
        values = (lock, lease_id)
        await self._database.write(lambda connection: connection.execute(statement, values))

    async def delete(self, lock: str, lease_id: str) -> None:
        """Remove the lock under its live lease; do nothing if it is gone or not held."""
        statement = "DELETE FROM locks WHERE lock = ? AND lease_id = ? AND expires > ?"
        await self._database.write(
            lambda connection: connection.execute(statement, (lock, lease_id, self._boottime()))
        )

    async def is_leased(self, lock: str) -> bool:
        """Whether the lock is leased now."""
        statement = "SELECT 1 FROM locks WHERE lock = ? AND lease_id IS NOT NULL AND expires > ?"
        return await self._database.read(
            lambda connection: (
                connection.execute(statement, (lock, self._boottime())).fetchone() is not None
            )
        )

    async def read_note(self, lock: str) -> Mapping[str, str]:
        """Return the lock's note."""

        def operation(connection: sqlite3.Connection) -> dict[str, str]:
            return _note(connection, lock)

        return await self._database.read(operation)

    async def write_note(
        self,
        lock: str,
        lease_id: str,
        note: Mapping[str, str],
        *,
        replacing: Mapping[str, str] | None = None,
    ) -> None:
        """Replace the note under a live lease."""
        text = encode_text(dict(note))

        def operation(connection: sqlite3.Connection) -> None:
            holder, expires = _lease(connection, lock)
            if holder != lease_id or expires <= self._boottime():
                raise LeaseConflict(f"lock {lock} is not held under this lease")
            if replacing is not None and _note(connection, lock) != replacing:
                raise LeaseConflict(f"lock {lock} has another note by now")
            connection.execute("UPDATE locks SET note = ? WHERE lock = ?", (text, lock))

        await self._database.write(operation)

    async def leased(self, prefix: str = "") -> frozenset[str]:
        """Return the names of locks that are leased now."""
        statement = "SELECT lock FROM locks WHERE lease_id IS NOT NULL AND expires > ?"
        statement += " AND lock >= ? AND lock < ? || char(0x10ffff)"
        return await self._database.read(
            lambda connection: frozenset(
                name
                for (name,) in connection.execute(statement, (self._boottime(), prefix, prefix))
            )
        )

    async def remove_idle(self, prefix: str, *, before: datetime) -> int:
        """Remove locks whose last lease ended before then; a release counts as an end long ago."""
        statement = "DELETE FROM locks WHERE (lease_id IS NULL OR expires <= ?) AND expires <= ?"
        statement += " AND lock >= ? AND lock < ? || char(0x10ffff)"

        def operation(connection: sqlite3.Connection) -> int:
            now = self._boottime()
            idle_since = now - (self._database.clock.now() - before).total_seconds()
            values = (now, idle_since, prefix, prefix)
            return connection.execute(statement, values).rowcount

        return await self._database.write(operation)


def _note(connection: sqlite3.Connection, lock: str) -> dict[str, str]:
    row = connection.execute("SELECT note FROM locks WHERE lock = ?", (lock,)).fetchone()
    if row is None:
        raise LockMissing(f"lock {lock} does not exist")
    note: dict[str, str] = orjson.loads(row[0])
    return note


def _lease(connection: sqlite3.Connection, lock: str) -> tuple[str | None, float]:
    row: tuple[str | None, float] | None = connection.execute(
        "SELECT lease_id, expires FROM locks WHERE lock = ?", (lock,)
    ).fetchone()
    if row is None:
        raise LockMissing(f"lock {lock} does not exist")
    return row


def _set_lease(connection: sqlite3.Connection, lock: str, lease_id: str, expires: float) -> None:
    connection.execute(
        "UPDATE locks SET lease_id = ?, expires = ? WHERE lock = ?", (lease_id, expires, lock)
    )
