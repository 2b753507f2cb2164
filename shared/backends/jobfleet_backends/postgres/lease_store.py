"""Leases and notes of locks, after the documented rules of Azure's blob leases.

Every expiry is a time of the server's clock, read when the row is read: ``clock_timestamp()``.
``now()`` would be the time when the transaction began.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from jobfleet_backends.postgres.batch import BatchStatement, Row
from jobfleet_backends.postgres.database import Database
from jobfleet_backends.postgres.ranks import Rank
from jobfleet_contracts.codec import decode
from jobfleet_contracts.errors import LeaseConflict, LockMissing

_ROWS = "json_to_recordset(%s::json) AS rows (n int, lock text, lease_id text, seconds float8)"


def _lease_sql(or_free: str) -> str:
    return f"""
WITH rows AS (SELECT * FROM {_ROWS}), leased AS (
    UPDATE jobfleet.locks AS it
    SET lease_id = rows.lease_id, expires = clock_timestamp() + make_interval(secs => seconds)
    FROM rows WHERE it.lock = rows.lock AND (it.lease_id = rows.lease_id {or_free})
    RETURNING rows.n
)
SELECT rows.n, leased.n IS NOT NULL
FROM rows JOIN jobfleet.locks USING (lock) LEFT JOIN leased USING (n)
"""


_OR_FREE = "OR it.lease_id IS NULL OR it.expires <= clock_timestamp()"
LEASE_NEW = f"""
    INSERT INTO jobfleet.locks AS it (lock, lease_id, expires)
    SELECT lock, lease_id, clock_timestamp() + make_interval(secs => seconds)
    FROM {{rows}} ORDER BY lock
    ON CONFLICT (lock) DO UPDATE SET lease_id = excluded.lease_id, expires = excluded.expires
    WHERE it.lease_id = excluded.lease_id {_OR_FREE}
    RETURNING lock
"""
_CREATE_AND_LEASE = f"""
WITH rows AS (SELECT * FROM {_ROWS}), leased AS ({LEASE_NEW.format(rows="rows")})
SELECT rows.n, leased.lock IS NOT NULL FROM rows LEFT JOIN leased USING (lock)
"""
_CREATE = f"""
INSERT INTO jobfleet.locks (lock) SELECT lock FROM {_ROWS} ORDER BY lock
ON CONFLICT (lock) DO NOTHING RETURNING 0
"""
_RELEASE = f"""
UPDATE jobfleet.locks AS it SET lease_id = NULL, expires = '-infinity'
FROM {_ROWS} WHERE it.lock = rows.lock AND it.lease_id = rows.lease_id RETURNING rows.n
"""
_DELETE = f"""
DELETE FROM jobfleet.locks AS it USING {_ROWS}
WHERE it.lock = rows.lock AND it.lease_id = rows.lease_id AND it.expires > clock_timestamp()
RETURNING rows.n
"""
_WRITE_NOTE = """
WITH rows AS (
    SELECT * FROM json_to_recordset(%s::json)
    AS rows (n int, lock text, lease_id text, note jsonb, replacing jsonb)
), written AS (
    UPDATE jobfleet.locks AS it SET note = rows.note FROM rows
    WHERE it.lock = rows.lock AND it.lease_id = rows.lease_id AND it.expires > clock_timestamp()
        AND (rows.replacing IS NULL OR it.note = rows.replacing)
    RETURNING rows.n
)
SELECT rows.n, written.n IS NOT NULL
FROM rows JOIN jobfleet.locks USING (lock) LEFT JOIN written USING (n)
"""
_IS_LEASED = """
SELECT 1 FROM jobfleet.locks
WHERE lock = %s AND lease_id IS NOT NULL AND expires > clock_timestamp()
"""
_LEASED = """
SELECT lock FROM jobfleet.locks
WHERE lease_id IS NOT NULL AND expires > clock_timestamp() AND lock >= %s AND lock < %s
"""
_REMOVE_IDLE = """
DELETE FROM jobfleet.locks WHERE (lease_id IS NULL OR expires <= clock_timestamp())
AND expires <= clock_timestamp() - make_interval(secs => %s) AND lock >= %s AND lock < %s
"""
_LAST = "\U0010ffff"


@dataclass(frozen=True, slots=True)
class _Lease:
    lock: str
    lease_id: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class _Note:
    lock: str
    lease_id: str
    note: Mapping[str, str]
    replacing: Mapping[str, str] | None


def _leased(lease: _Lease | _Note, rows: list[Row]) -> None:
    if not rows:
        raise LockMissing(f"lock {lease.lock} does not exist")
    if not rows[0][0]:
        raise LeaseConflict(f"lock {lease.lock} has another holder, or has another note")


def _statement(rank: Rank, sql: str, *, answers: bool) -> BatchStatement[_Lease, None]:
    return BatchStatement(
        rank=rank,
        sql=sql,
        rows=lambda it: [{"lock": it.lock, "lease_id": it.lease_id, "seconds": it.seconds}],
        outcome=_leased if answers else lambda _lease, _rows: None,
        key=lambda it: it.lock,
        lock=lambda it: it.lock,
        may_lag=not answers,  # a lease that is taken must not be taken back
    )


ACQUIRE = _statement(Rank.LEASE, _lease_sql(_OR_FREE), answers=True)
_ACQUIRE_NEW = _statement(Rank.LEASE, _CREATE_AND_LEASE, answers=True)
_RENEW = _statement(Rank.LEASE, _lease_sql(""), answers=True)
_CREATE_LOCK = _statement(Rank.LEASE, _CREATE, answers=False)
RELEASE_LOCK = _statement(Rank.RELEASE, _RELEASE, answers=False)
_DELETE_LOCK = _statement(Rank.RELEASE, _DELETE, answers=False)
_WRITE: BatchStatement[_Note, None] = BatchStatement(
    rank=Rank.NOTE,
    sql=_WRITE_NOTE,
    rows=lambda it: [
        {
            "lock": it.lock,
            "lease_id": it.lease_id,
            "note": dict(it.note),
            "replacing": None if it.replacing is None else dict(it.replacing),
        }
    ],
    outcome=_leased,
    key=lambda it: it.lock,
    lock=lambda it: it.lock,
)


class PostgresLeaseStore:
    """Locks with at most one lease; an expired lease id may renew until another one leases."""

    def __init__(self, *, database: Database) -> None:
        self._database = database

    async def create(self, lock: str) -> None:
        """Create the lock if it is not there."""
        await self._database.write(_CREATE_LOCK, _Lease(lock))

    async def acquire(
        self, lock: str, lease_id: str, seconds: float, *, create: bool = False
    ) -> None:
        """Lease the lock, or start the time of one's own lease anew."""
        statement = _ACQUIRE_NEW if create else ACQUIRE
        await self._database.write(statement, _Lease(lock, lease_id, seconds))

    async def renew(self, lock: str, lease_id: str, seconds: float) -> None:
        """Start the lease's time anew, even after it ran out if it was not leased since."""
        await self._database.write(_RENEW, _Lease(lock, lease_id, seconds))

    async def release(self, lock: str, lease_id: str) -> None:
        """Give the lease up; do nothing if it is not held."""
        await self._database.write(RELEASE_LOCK, _Lease(lock, lease_id))

    async def delete(self, lock: str, lease_id: str) -> None:
        """Remove the lock under its live lease; do nothing if it is gone or not held."""
        await self._database.write(_DELETE_LOCK, _Lease(lock, lease_id))

    async def is_leased(self, lock: str) -> bool:
        """Whether the lock is leased now."""
        return bool(await self._database.fetch(_IS_LEASED, lock))

    async def read_note(self, lock: str) -> Mapping[str, str]:
        """Return the lock's note."""
        rows = await self._database.fetch("SELECT note FROM jobfleet.locks WHERE lock = %s", lock)
        if not rows:
            raise LockMissing(f"lock {lock} does not exist")
        note: dict[str, str] = decode(rows[0][0])
        return note

    async def write_note(
        self,
        lock: str,
        lease_id: str,
        note: Mapping[str, str],
        *,
        replacing: Mapping[str, str] | None = None,
    ) -> None:
        """Replace the note under a live lease."""
        await self._database.write(_WRITE, _Note(lock, lease_id, note, replacing))

    async def leased(self, prefix: str = "") -> frozenset[str]:
        """Return the names of locks that are leased now."""
        rows = await self._database.fetch(_LEASED, prefix, prefix + _LAST)
        return frozenset(name for (name,) in rows)

    async def remove_idle(self, prefix: str, *, before: datetime) -> int:
        """Remove locks whose last lease ended before then; a release counts as an end long ago."""
        seconds = (self._database.clock.now() - before).total_seconds()
        return await self._database.execute(_REMOVE_IDLE, seconds, prefix, prefix + _LAST)
