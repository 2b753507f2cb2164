"""Leases on locks as one worker takes them, trusts them and gives them up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import structlog
import uuid_utils

from jobfleet_contracts.errors import BackendError, LeaseConflict, LockMissing
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.lease import (
    Lease,
    job_lock,
    key_locks,
    outlives_jobs,
    safety_margin,
    slots_prefix,
)
from jobfleet_contracts.ports import Clock, LeaseStore, LockRecords

LOCK_ACQUIRED = "lock.acquired"
LOCK_RELEASE_UNCLEAR = "lock.release_unclear"

_log = structlog.get_logger()


class LastingLease(Protocol):
    """A lease under renewal that outlives the jobs on it: the fleet's, or a worker's own."""

    @property
    def lock(self) -> str:
        """The lock's name."""
        ...

    def current(self) -> Lease:
        """Return the lease with the trust that renewals have earned."""
        ...

    def is_trusted(self) -> bool:
        """Whether it may be relied on now. Once it may not, it never may again."""
        ...


class LockLeases:
    """Takes and gives up leases; trust is counted from before the request was sent."""

    def __init__(
        self,
        *,
        leases: LeaseStore,
        locks: LockRecords,
        clock: Clock,
        worker_id: str,
        lease_seconds: float,
    ) -> None:
        self._leases = leases
        self._locks = locks
        self._clock = clock
        self._worker_id = worker_id
        self._lease_seconds = lease_seconds

    async def acquire(self, lock: str, lease_id: str, *, is_new: bool = False) -> Lease:
        """Lease a lock, creating it if it is missing.

        Args:
            is_new: the lock probably does not exist yet: create it first.

        Raises:
            LeaseConflict: another holder has it.
        """
        while True:
            sent_at = self._clock.boottime()
            try:
                await self._leases.acquire(lock, lease_id, self._lease_seconds, create=is_new)
            except LockMissing:
                is_new = True
                continue
            _log.debug(LOCK_ACQUIRED, lock=lock)
            return self.granted(lock, lease_id, sent_at=sent_at)

    def granted(self, lock: str, lease_id: str, *, sent_at: float) -> Lease:
        """Return a lease as it is trusted.

        Args:
            sent_at: boot-time seconds from before the request was sent, never from its answer.
        """
        trusted_until = sent_at + self._lease_seconds - safety_margin(self._lease_seconds)
        return Lease(lock, self._worker_id, lease_id, trusted_until)

    async def acquire_for(self, request: JobRequest, lease_id: str) -> Lease:
        """Lease the lock on which the job rests, or one of its slots.

        The first try is the slot that the job id points to. Only if that is taken, the slots
        are listed, once, and those that are free are tried.

        Raises:
            LeaseConflict: all of them are held.
        """
        locks = locks_of(request)
        if request.lock_key is None:
            return await self.acquire(locks[0], lease_id, is_new=True)
        prefix = slots_prefix(request.lock_key, request.lock_slots)
        return await self.acquire_one(locks, prefix, lease_id)

    async def acquire_one(self, locks: Sequence[str], prefix: str, lease_id: str) -> Lease:
        """Lease the first of these locks, or one of the others.

        Args:
            prefix: what the names of the others begin with.

        Raises:
            LeaseConflict: all of them are held.
        """
        first, *others = locks
        try:
            return await self.acquire(first, lease_id)
        except LeaseConflict:
            if not others:
                raise
        taken = await self._locks.leased(prefix)
        for lock in others:
            if lock not in taken:
                try:
                    return await self.acquire(lock, lease_id)
                except LeaseConflict:
                    continue
        raise LeaseConflict(f"all {len(locks)} slots of {prefix} are held")

    def trusts(self, lease: Lease) -> bool:
        """Whether the lease may be relied on now, by this worker's own clock."""
        return self._clock.boottime() < lease.trusted_until

    async def give_up(self, lease: Lease, request: JobRequest) -> None:
        """Release a lease; a job's own lock goes with it. The fleet's and a worker's own stay."""
        if outlives_jobs(lease.lock):
            return
        if lease.lock == job_lock(request.job_id):
            await self._leases.delete(lease.lock, lease.lease_id)
        else:
            await self._leases.release(lease.lock, lease.lease_id)

    async def let_go(self, lease: Lease, request: JobRequest) -> None:
        """Give up a lease that no claim came of.

        A release without an answer may still be carried out, so do not claim again because of it
        under the same lease id: the handler's lease would vanish beneath it.
        """
        try:
            await self.give_up(lease, request)
        except BackendError as error:
            _log.warning(LOCK_RELEASE_UNCLEAR, lock=lease.lock, error=str(error))


def locks_of(request: JobRequest) -> tuple[str, ...]:
    """Return the locks in the order to try them; the job needs one.

    In scope ``worker`` a job without a lock key rests on its worker's lock instead.
    """
    if request.lock_key is None:
        return (job_lock(request.job_id),)
    locks = key_locks(request.lock_key, request.lock_slots)
    first = int(request.job_id[-8:], 16) % len(locks)
    return locks[first:] + locks[:first]


def new_lease_id() -> str:
    """Return a fresh lease id; blob leases take a UUID."""
    return str(uuid_utils.uuid4())
