"""Which lock keys are held, by which job, and who waits."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from jobfleet_contracts.index import LockUse, OpenRow
from jobfleet_contracts.lease import key_lock
from jobfleet_contracts.ports import JobIndexReader, LockRecords, WorkerDirectory
from jobfleet_contracts.worker_status import WorkerStatus
from jobfleet_dashboard.api.documents import LockDocument, LockJobDocument

MAX_LOCKS = 100
MAX_WAITERS = 10


@dataclass(frozen=True, slots=True)
class HeldLock:
    """A lock key that somebody holds or waits for.

    Attributes:
        leased: whether its lock is leased now; a holder without it is about to be taken over.
        holder: the job that runs under it, as the index knows; ``None`` for none.
        held_since: start of the holder's attempt as its worker's last heartbeat told; ``None``
            where no heartbeat has told it yet.
        waiting: how many wait, counted up to ``COUNTED_WAITERS``.
        waiters: the first ten, longest waiting first.
    """

    lock_key: str
    leased: bool
    holder: OpenRow | None
    held_since: datetime | None
    waiting: int
    waiters: Sequence[OpenRow]

    def document(self) -> LockDocument:
        """Return one item of ``/api/locks``."""
        return LockDocument(
            lock_key=self.lock_key,
            lock=key_lock(self.lock_key),
            leased=self.leased,
            holder=None if self.holder is None else _job(self.holder),
            held_since=self.held_since,
            waiting=self.waiting,
            waiters=[_job(row) for row in self.waiters],
        )


async def held_locks(
    *, locks: LockRecords, directory: WorkerDirectory, reader: JobIndexReader
) -> Sequence[HeldLock]:
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


def _held(use: LockUse, leased: frozenset[str], starts: dict[str, datetime]) -> HeldLock:
    return HeldLock(
        lock_key=use.lock_key,
        leased=key_lock(use.lock_key) in leased,
        holder=use.holder,
        held_since=starts.get(use.holder.facts.job_id) if use.holder else None,
        waiting=use.waiting,
        waiters=use.waiters,
    )


def _starts(workers: Sequence[WorkerStatus]) -> dict[str, datetime]:
    """Return when each running job's attempt started."""
    return {job.job_id: job.started_at for worker in workers for job in worker.running}


def _job(row: OpenRow) -> LockJobDocument:
    return LockJobDocument(
        job_id=row.facts.job_id,
        job_name=row.facts.job_name,
        type=row.facts.job_type,
        state=row.state,
        updated_at=row.updated_at,
    )
