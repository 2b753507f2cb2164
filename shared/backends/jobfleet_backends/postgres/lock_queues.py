"""Who holds a lock key and who waits for it, from the open rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jobfleet_backends.postgres.batch import Row
from jobfleet_backends.postgres.connection import Session
from jobfleet_backends.postgres.database import Database
from jobfleet_backends.postgres.schema import CONFIRMED, in_schema
from jobfleet_backends.sql.row_codec import OPEN_COLUMNS, readable_open_rows
from jobfleet_contracts.index import COUNTED_WAITERS, LockUse, OpenRow
from jobfleet_contracts.state import CLAIMABLE

_CLAIMABLE = ", ".join(f"'{state}'" for state in sorted(CLAIMABLE))
_WAITING = f"""
FROM jobfleet.open_jobs
WHERE lock_key = %s AND lock_slots = %s AND state IN ({_CLAIMABLE}) AND {CONFIRMED}
"""
_WAITERS = f"SELECT {OPEN_COLUMNS} {_WAITING} ORDER BY opened_at, job_id LIMIT %s"
_COUNT = f"SELECT count(*) FROM (SELECT 1 {_WAITING} LIMIT {COUNTED_WAITERS}) AS waiting"
_HOLDERS = f"""
SELECT {OPEN_COLUMNS} FROM jobfleet.open_jobs
WHERE state = 'running' AND lock_key IS NOT NULL LIMIT %s
"""
# A jump from key to key: each look takes the first row behind the key before.
_KEYS = f"""
WITH RECURSIVE keys (name) AS (
    SELECT min(lock_key) FROM jobfleet.open_jobs WHERE lock_key IS NOT NULL AND {CONFIRMED}
    UNION ALL
    SELECT (SELECT min(lock_key) FROM jobfleet.open_jobs WHERE lock_key > name AND {CONFIRMED})
    FROM keys WHERE name IS NOT NULL
)
SELECT name FROM keys WHERE name IS NOT NULL LIMIT %s
"""
_SLOTS = f"""
WITH RECURSIVE slots (number) AS (
    SELECT min(lock_slots) FROM jobfleet.open_jobs WHERE lock_key = %s AND {CONFIRMED}
    UNION ALL
    SELECT (SELECT min(lock_slots) FROM jobfleet.open_jobs
        WHERE lock_key = %s AND lock_slots > number AND {CONFIRMED})
    FROM slots WHERE number IS NOT NULL
)
SELECT number FROM slots WHERE number > 0
"""


class LockQueues:
    """Questions about lock keys, on one session of the database."""

    def __init__(self, *, database: Database) -> None:
        self._database = database

    async def waiters(self, lock_key: str, slots: int, limit: int) -> Sequence[OpenRow]:
        """Return open, claimable jobs of this lock key and slots, longest waiting first."""
        rows = await self._database.fetch(_WAITERS, lock_key, slots, limit)
        return readable_open_rows(rows)

    async def slots(self, lock_key: str) -> frozenset[int]:
        """Return the numbers of slots that open jobs name with this lock key."""
        rows = await self._database.fetch(_SLOTS, lock_key, lock_key)
        return frozenset(number for (number,) in rows)

    async def uses(self, limit: int, waiters: int) -> Sequence[LockUse]:
        """Return lock keys that open jobs name, held ones first, then in their order."""
        schema = self._database.schema
        return await self._database.read(lambda session: _uses(session, schema, limit, waiters))


def _uses(session: Session, schema: str, limit: int, waiters: int) -> Sequence[LockUse]:
    def rows(statement: str, values: Sequence[tuple[Any, ...]]) -> list[list[Row]]:
        """Ask once for each tuple of values, all on one way to the server and back."""
        text = in_schema(statement, schema)
        with session.pipeline():
            cursors = [session.execute(text, each) for each in values]
            return [cursor.fetchall() for cursor in cursors]

    (running,), (named,) = rows(_HOLDERS, [(limit,)]), rows(_KEYS, [(limit,)])
    holders: dict[tuple[str, int], list[OpenRow]] = {}
    for row in readable_open_rows(running):
        holders.setdefault((str(row.facts.lock_key), row.facts.lock_slots), []).append(row)
    keys = [key for (key,) in named]
    slots = rows(_SLOTS, [(key, key) for key in keys])
    places = [(key, number) for key, found in zip(keys, slots, strict=True) for (number,) in found]
    places = list(dict.fromkeys([*holders, *places]))[:limit]
    waiting = rows(_COUNT, places)
    first = rows(_WAITERS, [(*place, waiters) for place in places])
    return [
        LockUse(
            lock_key=key,
            slots=number,
            holders=holders.get((key, number), ()),
            waiting=count,
            waiters=readable_open_rows(found),
        )
        for (key, number), ((count,),), found in zip(places, waiting, first, strict=True)
    ]
