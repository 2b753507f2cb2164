"""Where a job goes that waits for a third party: it keeps no shared lock, and soon no slot."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Protocol

from jobfleet_contracts.errors import BackendError
from jobfleet_contracts.event import Event
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.lease import FLEET_LOCK, Lease, job_lock
from jobfleet_contracts.ports import Clock
from jobfleet_contracts.state import State
from jobfleet_protocol.claiming.claim_result import Claimed
from jobfleet_protocol.claiming.lock_leases import LockLeases, new_lease_id
from jobfleet_protocol.trail.held_trail import HeldTrail
from jobfleet_protocol.trail.transitions import Change
from jobfleet_worker.run.lease_keeper import KeptLease, LeaseKeeper

Leave = Callable[[Lease, JobRequest], Awaitable[None]]


class Tenant(Protocol):
    """The execution whose job goes to wait."""

    @property
    def claimed(self) -> Claimed:
        """The job, and the lease that its claim rests on."""
        ...

    @property
    def kept(self) -> KeptLease:
        """That lease under renewal."""
        ...

    @property
    def trail(self) -> HeldTrail:
        """The job's trail under this claim."""
        ...

    def rest_on(self, lease: Lease, kept: KeptLease) -> None:
        """Rest on another lease from now on."""
        ...


class WaitingRoom:
    """For the handler of one attempt; ``leave`` gives up the lock that is left behind."""

    def __init__(
        self,
        *,
        tenant: Tenant,
        leases: LockLeases,
        keeper: LeaseKeeper,
        leave: Leave,
        clock: Clock,
    ) -> None:
        self._tenant = tenant
        self._leases = leases
        self._keeper = keeper
        self._leave = leave
        self._clock = clock

    @property
    def deadline(self) -> datetime | None:
        """Until when the job waits; ``None`` before :meth:`enter`."""
        after = self._tenant.trail.head.after
        return after.due_at if after.state is State.WAITING else None

    async def enter(self, seconds: float) -> datetime:
        """Write ``Waiting``, before the request leaves, so that no answer is faster.

        From then on the job rests on its own lock: a lock key or the fleet's lease protects runs,
        not waits, and the own lock alone tells whether somebody is sending the request.

        Returns:
            The deadline.

        Raises:
            Fenced: the claim is over.
            BackendError: the own lock cannot be had; nothing is written.
        """
        deadline = self._clock.now() + timedelta(seconds=seconds)
        claimed = self._tenant.claimed
        lock = job_lock(claimed.request.job_id)
        if claimed.lease.lock == lock:
            await self._write(deadline, lock)
            return deadline
        lease = await self._leases.acquire(lock, new_lease_id(), is_new=True)
        kept = self._keeper.keep(lease)
        try:
            await self._write(deadline, lock)
        except BaseException:  # a cancelled attempt too: nobody else gives this lease up
            self._keeper.drop(kept)
            with contextlib.suppress(BackendError):
                await self._leases.give_up(lease, claimed.request)
            raise
        left = self._tenant.kept
        self._tenant.rest_on(lease, kept)
        left.release_from_job()
        if left.lock != FLEET_LOCK:
            self._keeper.drop(left)
        await self._leave(claimed.lease, claimed.request)
        return deadline

    async def sent(self, message: str, data: Mapping[str, Any]) -> None:
        """Note that the third party has taken the request: it is not sent again.

        Raises:
            Fenced: the job has ended already, or somebody else sends it.
        """

        def change(head: Event) -> list[Change]:
            return [
                Change(
                    status="Step 1",
                    worker_id=head.after.worker_id,
                    sent=True,
                    message=message,
                    data={"step": 1, **data},
                )
            ]

        await self._tenant.trail.write(change)

    async def _write(self, deadline: datetime, lock: str) -> None:
        def change(head: Event) -> list[Change]:
            return [
                Change(
                    status="Waiting",
                    worker_id=head.after.worker_id,
                    due_at=deadline,
                    lock=lock,
                    message="waiting for the third party's result",
                    data={"sent": False},
                )
            ]

        await self._tenant.trail.write(change)
