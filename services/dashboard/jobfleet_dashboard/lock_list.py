"""Which lock keys are held, by which job, and who waits."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from jobfleet_contracts.codec import format_time
from jobfleet_contracts.index import OpenRow
from jobfleet_contracts.lease import key_lock
from jobfleet_contracts.ports import JobIndexReader, LockRecords
from jobfleet_contracts.state import CLAIMABLE, State

MAX_LOCKS = 100
MAX_WAITERS = 10
_ROWS = 1000
_AT_ONCE = 10


@dataclass(frozen=True, slots=True)
class HeldLock:
    """A lock key that somebody holds or waits for.

    Attributes:
        leased: whether its lock is leased now; a holder without it is about to be taken over.
        holder: the job that runs under it, as the index knows; ``None`` for none.
        waiters: the first ten, longest waiting first.
    """

    lock_key: str
    leased: bool
    holder: OpenRow | None
    waiters: Sequence[OpenRow]

    def to_json(self) -> dict[str, Any]:
        """Return one item of ``/api/locks``."""
        return {
            "lockKey": self.lock_key,
            "lock": key_lock(self.lock_key),
            "leased": self.leased,
            "holder": None if self.holder is None else _job(self.holder),
            "waiters": [_job(row) for row in self.waiters],
        }


async def held_locks(reader: JobIndexReader, locks: LockRecords) -> Sequence[HeldLock]:
    """Return up to 100 lock keys, held ones first, from up to 2,000 open rows.

    Raises:
        BackendUnavailable: index or locks cannot be read.
    """
    leased, running, others = await asyncio.gather(
        locks.leased(),
        reader.open_rows(states=frozenset({State.RUNNING}), limit=_ROWS),
        reader.open_rows(states=CLAIMABLE, limit=_ROWS),
    )
    holders = {row.facts.lock_key: row for row in running.items if row.facts.lock_key}
    keys = list(dict.fromkeys([*holders, *_keys(others.items)]))[:MAX_LOCKS]
    limit = asyncio.Semaphore(_AT_ONCE)

    async def one(key: str) -> HeldLock:
        async with limit:
            waiters = await reader.lock_waiters(key, limit=MAX_WAITERS)
        return HeldLock(key, key_lock(key) in leased, holders.get(key), waiters)

    return await asyncio.gather(*map(one, keys))


def _keys(rows: Iterable[OpenRow]) -> Iterable[str]:
    return (row.facts.lock_key for row in rows if row.facts.lock_key)


def _job(row: OpenRow) -> dict[str, Any]:
    return {
        "jobId": row.facts.job_id,
        "jobName": row.facts.job_name,
        "type": row.facts.job_type,
        "state": row.state.value,
        "updatedAt": format_time(row.updated_at),
    }
