"""Who holds a lock key and who waits for it, from the open rows."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from jobfleet_backends.sql.row_codec import OPEN_COLUMNS, readable_open_rows
from jobfleet_backends.sqlite.schema import CONFIRMED
from jobfleet_contracts.index import COUNTED_WAITERS, LockUse, OpenRow
from jobfleet_contracts.state import CLAIMABLE

_CLAIMABLE = ", ".join(f"'{state}'" for state in sorted(CLAIMABLE))
_WAITING = f"""
FROM open_jobs
WHERE lock_key = ? AND lock_slots = ? AND state IN ({_CLAIMABLE}) AND {CONFIRMED}
"""
_WAITERS = f"SELECT {OPEN_COLUMNS} {_WAITING} ORDER BY opened_at, job_id LIMIT ?"
_COUNT = f"SELECT count(*) FROM (SELECT 1 {_WAITING} LIMIT {COUNTED_WAITERS})"
_HOLDERS = f"""
SELECT {OPEN_COLUMNS} FROM open_jobs WHERE state = 'running' AND lock_key IS NOT NULL LIMIT ?
"""
# A jump from key to key: each look takes the first row behind the key before.
_KEYS = f"""
WITH RECURSIVE keys (name) AS (
    SELECT min(lock_key) FROM open_jobs WHERE lock_key IS NOT NULL AND {CONFIRMED}
    UNION ALL
    SELECT (SELECT min(lock_key) FROM open_jobs WHERE lock_key > name AND {CONFIRMED})
    FROM keys WHERE name IS NOT NULL
)
SELECT name FROM keys WHERE name IS NOT NULL LIMIT ?
"""

_NEXT_SLOTS = f"""
SELECT min(lock_slots) FROM open_jobs WHERE lock_key = ? AND lock_slots > ? AND {CONFIRMED}
"""


def read_waiters(
    connection: sqlite3.Connection, lock_key: str, slots: int, limit: int
) -> Sequence[OpenRow]:
    """Return open, claimable jobs of this lock key and slots, longest waiting first."""
    rows = connection.execute(_WAITERS, (lock_key, slots, limit)).fetchall()
    return readable_open_rows(rows)


def read_lock_slots(connection: sqlite3.Connection, lock_key: str) -> frozenset[int]:
    """Return the numbers of slots that open jobs name with this lock key."""
    found: list[int] = []
    while True:
        last = found[-1] if found else 0
        (slots,) = connection.execute(_NEXT_SLOTS, (lock_key, last)).fetchone()
        if slots is None:
            return frozenset(found)
        found.append(slots)


def read_lock_uses(connection: sqlite3.Connection, limit: int, waiters: int) -> Sequence[LockUse]:
    """Return lock keys that open jobs name, held ones first, then in their order."""
    running = readable_open_rows(connection.execute(_HOLDERS, (limit,)))
    holders: dict[tuple[str, int], list[OpenRow]] = {}
    for row in running:
        holders.setdefault((str(row.facts.lock_key), row.facts.lock_slots), []).append(row)
    named = (
        (key, slots)
        for (key,) in connection.execute(_KEYS, (limit,)).fetchall()
        for slots in sorted(read_lock_slots(connection, key))
    )
    return [
        LockUse(
            lock_key=key,
            slots=slots,
            holders=holders.get((key, slots), ()),
            waiting=connection.execute(_COUNT, (key, slots)).fetchone()[0],
            waiters=read_waiters(connection, key, slots, waiters),
        )
        for key, slots in list(dict.fromkeys([*holders, *named]))[:limit]
    ]
