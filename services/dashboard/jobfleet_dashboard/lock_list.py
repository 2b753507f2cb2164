"""Which lock keys are held, by which jobs, and who waits."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from jobfleet_contracts.fleet_ports import WorkerDirectory
from jobfleet_contracts.index import LockUse, OpenRow
from jobfleet_contracts.lease import key_locks, slot_of
from jobfleet_contracts.ports import JobIndexReader, LockRecords
from jobfleet_contracts.worker_status import WorkerStatus
from jobfleet_dashboard.api.documents import LockDocument, LockHolderDocument, LockJobDocument

MAX_LOCKS = 100
MAX_WAITERS = 10


@dataclass(frozen=True, slots=True)
class Holder:
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


@dataclass(frozen=True, slots=True)
class ListedLock:
    """A lock key that somebody holds or waits for.

    Attributes:
        slots: so many jobs may hold it at once.
        used: slots that are leased now.
        holders: the jobs that run under it, as the index knows, in the order of their slots.
        waiting: how many wait, counted up to ``COUNTED_WAITERS``.
        waiters: the first ten, longest waiting first.
    """

    lock_key: str
    slots: int
    used: int
    holders: Sequence[Holder]
    waiting: int
    waiters: Sequence[OpenRow]

    def document(self) -> LockDocument:
        """Return one item of ``/api/locks``."""
        return LockDocument(
            lock_key=self.lock_key,
            slots=self.slots,
            used=self.used,
            holders=[_holder_document(holder) for holder in self.holders],
            waiting=self.waiting,
            waiters=[_job(row) for row in self.waiters],
        )


async def held_locks(
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
    return [_held(use, leased, starts) for use in uses]


def _held(use: LockUse, leased: frozenset[str], starts: dict[str, datetime]) -> ListedLock:
    holders = [
        Holder(
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


def _job(row: OpenRow) -> LockJobDocument:
    return LockJobDocument(
        job_id=row.facts.job_id,
        job_name=row.facts.job_name,
        type=row.facts.job_type,
        state=row.state,
        updated_at=row.updated_at,
    )


def _holder_document(holder: Holder) -> LockHolderDocument:
    return LockHolderDocument(
        **_job(holder.row).model_dump(),
        lock=holder.row.lock,
        slot=holder.slot,
        leased=holder.leased,
        held_since=holder.since,
    )
