"""Scope ``worker``: one lease for all jobs of this worker that have no lock key."""

from __future__ import annotations

import asyncio
import contextlib

import structlog

from jobfleet_contracts.errors import BackendError, BackendUnavailable, LeaseConflict
from jobfleet_contracts.lease import worker_lock
from jobfleet_contracts.ports import LeaseStore
from jobfleet_protocol.claiming.lock_leases import LockLeases, new_lease_id
from jobfleet_worker.run.lease_keeper import KeptLease, LeaseKeeper

WORKER_LOCK_TAKEN = "worker_lock.taken"
WORKER_LOCK_UNAVAILABLE = "worker_lock.unavailable"
WORKER_LOCK_RETIRED = "worker_lock.retired"
WORKER_LOCK_RELEASE_FAILED = "worker_lock.release_failed"

_log = structlog.get_logger()


class WorkerLock:
    """Keeps a generation of the worker's own lock; begins the next one if it is lost."""

    def __init__(
        self,
        *,
        locks: LockLeases,
        leases: LeaseStore,
        keeper: LeaseKeeper,
        worker_id: str,
        lease_seconds: float,
    ) -> None:
        self._locks = locks
        self._leases = leases
        self._keeper = keeper
        self._worker_id = worker_id
        self._lease_seconds = lease_seconds
        self._generation = 1
        self._lease_id = new_lease_id()
        self._kept: KeptLease | None = None
        self._opening = asyncio.Lock()
        self._retiring: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Lease the first generation; storage in trouble is left to the first claim."""
        try:
            await self.current()
        except BackendError as error:
            _log.warning(WORKER_LOCK_UNAVAILABLE, error=str(error))

    async def current(self) -> KeptLease:
        """Return the generation on which new claims rest; leases the next one if it is lost.

        Raises:
            BackendUnavailable: it cannot be leased now; try again.
        """
        if self._kept is not None and self._kept.is_trusted():
            return self._kept
        async with self._opening:
            if self._kept is None or not self._kept.is_trusted():
                self._kept = await self._next()
            return self._kept

    def retire(self, lock: str, reason: str) -> None:
        """Let no new claim rest on this generation, and release it within the length of a lease.

        A job that cannot be given up in the trail would otherwise look attended for ever. Jobs
        that still run on it then are stopped.
        """
        kept = self._kept
        if kept is None or kept.lock != lock:
            return
        _log.warning(WORKER_LOCK_RETIRED, lock=lock, reason=reason)
        self._leave(kept)
        task = asyncio.create_task(self._release_soon(kept, reason), name=f"retire-{lock}")
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)

    async def close(self) -> None:
        """Delete the lock: what still rests on it is free for other workers at once."""
        async with self._opening:
            kept, self._kept = self._kept, None
        for task in self._retiring:
            task.cancel()
        if kept is not None:
            await self._release(kept, "the worker stops")

    async def _next(self) -> KeptLease:
        if self._kept is not None:
            # Never the same name again: the jobs given up on it must be found free.
            self._leave(self._kept)
        lock = worker_lock(self._worker_id, self._generation)
        try:
            # Nothing rests on it yet, so a try whose answer was lost is repeated as it was.
            lease = await self._locks.acquire(lock, self._lease_id, is_new=True)
        except LeaseConflict as error:
            self._advance()
            raise BackendUnavailable(f"lock {lock} has another holder") from error
        _log.info(WORKER_LOCK_TAKEN, lock=lock)
        return self._keeper.keep(lease)

    def _leave(self, kept: KeptLease) -> None:
        if self._kept is kept:
            self._kept = None
            self._advance()

    def _advance(self) -> None:
        self._generation += 1
        self._lease_id = new_lease_id()

    async def _release_soon(self, kept: KeptLease, reason: str) -> None:
        """Let its jobs end; those that still run after half a lease are told to stop."""
        await self._until_left(kept, self._lease_seconds / 2)
        if kept.jobs:
            self._keeper.give_up(kept, reason)
            await self._until_left(kept, self._lease_seconds / 4)
        await self._release(kept, reason)

    async def _until_left(self, kept: KeptLease, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while kept.jobs:  # noqa: ASYNC110
                    await asyncio.sleep(seconds / 20)

    async def _release(self, kept: KeptLease, reason: str) -> None:
        self._keeper.drop(kept)
        # A claim that is just being written finds that it cannot rely on the lock any more.
        kept.tell_lost(reason)
        try:
            await self._leases.delete(kept.lock, kept.lease.lease_id)
        except BackendError as error:
            _log.warning(WORKER_LOCK_RELEASE_FAILED, lock=kept.lock, error=str(error))
