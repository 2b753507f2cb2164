"""Lock keys as API, pages and command line show them: which jobs hold them, and who waits."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from jobfleet_contracts.codec import format_optional_time, format_time
from jobfleet_contracts.fleet_ports import WorkerDirectory
from jobfleet_contracts.index import LockUse, OpenRow
from jobfleet_contracts.lease import key_locks, slot_of
from jobfleet_contracts.ports import JobIndexReader, LockRecords
from jobfleet_contracts.worker_status import WorkerStatus

MAX_LOCKS = 100
MAX_WAITERS = 10


@dataclass(frozen=True, slots=True)
class LockHolder:
    """A job that holds a slot of a lock key.

    Attributes:
        slot: number of the slot, from 1.
        leased: whether the slot is leased now; a holder without it is about to be taken over.
        since: start of the attempt by its worker's last heartbeat; ``None`` before the first one.
    """

    row: OpenRow
    slot: int
    leased: bool
    since: datetime | None

    def to_json(self) -> dict[str, Any]:
        """Return one holder of a lock key."""
        return {
            **_job(self.row),
            "lock": self.row.lock,
            "slot": self.slot,
            "leased": self.leased,
            "heldSince": format_optional_time(self.since),
        }


@dataclass(frozen=True, slots=True)
class ListedLock:
    """A lock key that a job holds or waits for.

    Attributes:
        slots: how many jobs may hold it at once.
        used: slots that are leased now.
        holders: the jobs that run under it, as the index knows, in the order of their slots.
        waiting: how many wait, counted up to ``COUNTED_WAITERS``.
        waiters: the first ten, longest waiting first.
    """

    lock_key: str
    slots: int
    used: int
    holders: Sequence[LockHolder]
    waiting: int
    waiters: Sequence[OpenRow]

    def to_json(self) -> dict[str, Any]:
        """Return one item of ``GET /api/locks``."""
        return {
            "lockKey": self.lock_key,
            "slots": self.slots,
            "used": self.used,
            "holders": [holder.to_json() for holder in self.holders],
            "waiting": self.waiting,
            "waiters": [_job(row) for row in self.waiters],
        }


async def read_locks(
    *, locks: LockRecords, directory: WorkerDirectory, reader: JobIndexReader
) -> Sequence[ListedLock]:
    """Return up to 100 lock keys, held ones first.

    Raises:
        BackendUnavailable: index, locks or worker directory cannot be read.
    """
    leased, workers, uses = await asyncio.gather(
        locks.leased(),
        directory.workers(),
        reader.lock_uses(limit=MAX_LOCKS, waiters=MAX_WAITERS),
    )
    starts = _starts(workers)
    return [_record(use, leased, starts) for use in uses]


def _record(use: LockUse, leased: frozenset[str], starts: dict[str, datetime]) -> ListedLock:
    holders = [
        LockHolder(
            row=row,
            slot=slot_of(row.lock) or 1,
            leased=row.lock in leased,
            since=starts.get(row.facts.job_id),
        )
        for row in use.holders
    ]
    return ListedLock(
        lock_key=use.lock_key,
        slots=use.slots,
        used=len(leased.intersection(key_locks(use.lock_key, use.slots))),
        holders=sorted(holders, key=lambda holder: holder.slot),
        waiting=use.waiting,
        waiters=use.waiters,
    )


def _starts(workers: Sequence[WorkerStatus]) -> dict[str, datetime]:
    """Return when each running job's attempt started; a lost worker's word counts least."""
    by_word = sorted(workers, key=lambda worker: worker.heartbeat_at)
    return {job.job_id: job.started_at for worker in by_word for job in worker.running}


def _job(row: OpenRow) -> dict[str, Any]:
    return {
        "jobId": row.facts.job_id,
        "jobName": row.facts.job_name,
        "type": row.facts.job_type,
        "state": row.state.value,
        "updatedAt": format_time(row.updated_at),
    }
