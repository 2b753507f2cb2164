"""The wait of a third-party job: it keeps no shared lock, and soon no slot of the worker."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from jobfleet_contracts.errors import BackendError, LeaseConflict
from jobfleet_contracts.event import Event
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.lease import Lease, job_lock
from jobfleet_contracts.ports import Clock
from jobfleet_contracts.state import State, Status
from jobfleet_contracts.value_coder import NO_CODER, ValueCoder
from jobfleet_protocol.claiming.lock_leases import LockLeases, new_lease_id
from jobfleet_protocol.retry import back_off
from jobfleet_protocol.trail.held_trail import HeldTrail
from jobfleet_protocol.trail.transitions import Change
from jobfleet_worker.run.follow_up import FollowUp
from jobfleet_worker.run.held_lock_slots import HeldLockSlots
from jobfleet_worker.run.lease_keeper import LeaseKeeper
from jobfleet_worker.run.run_lease import RunLease


class CallbackWait:
    """Moves one claimed job into its wait; given only to built-in handlers that wait."""

    def __init__(
        self,
        *,
        request: JobRequest,
        trail: HeldTrail,
        lease: RunLease,
        held: HeldLockSlots,
        leases: LockLeases,
        keeper: LeaseKeeper,
        follow_up: FollowUp,
        clock: Clock,
        coder: ValueCoder = NO_CODER,
    ) -> None:
        self._coder = coder
        self._request = request
        self._trail = trail
        self._lease = lease
        self._held = held
        self._leases = leases
        self._keeper = keeper
        self._follow_up = follow_up
        self._clock = clock

    @property
    def deadline(self) -> datetime | None:
        """Until when the job waits; ``None`` before :meth:`enter`."""
        after = self._trail.head.after
        return after.due_at if after.state is State.WAITING else None

    async def enter(self, seconds: float) -> datetime:
        """Write ``Waiting``. Call it before the request leaves, so that no answer is faster.

        From then on the job rests on its own lock. A lock key or the fleet's lease protects runs,
        not waits, and the own lock alone tells whether a worker is sending the request.

        Returns:
            The deadline.

        Raises:
            Fenced: the claim is over.
            BackendError: the own lock cannot be had; nothing is written.
        """
        deadline = self._clock.now() + timedelta(seconds=seconds)
        lock = job_lock(self._request.job_id)
        if self._lease.lease.lock == lock:
            await self._write(deadline, lock)
            await self._follow_up.release(self._held.leave(), self._request)
            return deadline
        lease = await self._acquire(lock)
        kept = self._keeper.keep(lease)
        try:
            await self._write(deadline, lock)
        except BaseException:  # a cancelled attempt too: no other code gives this lease up
            self._keeper.drop(kept)
            with contextlib.suppress(BackendError):
                await self._leases.give_up(lease, self._request)
            raise
        # The shared lock goes only after Waiting stands. Given up sooner, its next holder could
        # start while this job still counts as running under it.
        left = self._lease.exchange(lease, kept)
        await self._follow_up.release(self._held.leave(), self._request)
        await self._follow_up.leave(left, self._request)
        return deadline

    async def _acquire(self, lock: str) -> Lease:
        """Lease the own lock. A worker of scope ``job`` may hold it while it looks at a message."""
        lease_id = new_lease_id()
        pauses = back_off()
        while True:
            try:
                return await self._leases.acquire(lock, lease_id, is_new=True)
            except LeaseConflict:  # until then, or until the attempt's time limit
                await asyncio.sleep(next(pauses))

    async def sent(self, message: str, data: Mapping[str, Any]) -> None:
        """Note that the third party has taken the request: it is not sent again.

        Raises:
            Fenced: the job has ended already, or another worker sends it.
        """

        def change(head: Event) -> list[Change]:
            return [
                Change(
                    kind=Status.STEP,
                    step=1,
                    worker_id=head.after.worker_id,
                    sent=True,
                    message=message,
                    data={"step": 1, **self._coder.details(data)},
                )
            ]

        await self._trail.write(change)

    async def _write(self, deadline: datetime, lock: str) -> None:
        def change(head: Event) -> list[Change]:
            return [
                Change(
                    kind=Status.WAITING,
                    worker_id=head.after.worker_id,
                    due_at=deadline,
                    lock=lock,
                    message="waiting for the third party's result",
                    data={"sent": False},
                )
            ]

        await self._trail.write(change)
