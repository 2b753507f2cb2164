"""Lock slots that a job takes beside its lock, of limits and of its handler's key: all, or none.

Each lock slot is a lock of its own with a note and turns. So no counter can drift, a lock slot is
free again when its lease ends, and a second release is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID, uuid5

from jobfleet_contracts.errors import LeaseConflict
from jobfleet_contracts.event import Event, HeldLock
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.lease import Lease
from jobfleet_protocol.claiming.lock_leases import LockLeases
from jobfleet_protocol.claiming.lock_turns import LockTurns, TurnView

LIMIT = "limit"
"""Reason of a deferral: a named limit has no free lock slot."""
LOCK = "lock"
"""Reason of a deferral: a lock key has no free lock slot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LockSlotDemand:
    """One limit, or lock key, of which a start needs a lock slot.

    Attributes:
        reason: why the job is deferred if all are taken: ``limit`` or ``lock``.
        name: the limit's name, or the lock key.
        locks: the lock slots; one is needed. None if nothing may start under the limit.
        prefix: what the names of the lock slots begin with.
        closed: why nothing may start, where ``locks`` is empty.
    """

    reason: str
    name: str
    locks: tuple[str, ...]
    prefix: str
    closed: str = ""

    @property
    def text(self) -> str:
        """Say what the job waits for."""
        what = "limit" if self.reason == LIMIT else "lock"
        return self.closed or f"waiting for {what} {self.name}"


@dataclass(frozen=True, slots=True)
class TakenLockSlots:
    """What an attempt to take all lock slots came to.

    Attributes:
        leases: held now, also where one of the limits is full.
        full: the first demand without a free lock slot.
    """

    leases: tuple[Lease, ...] = ()
    full: LockSlotDemand | None = None


NO_LOCK_SLOTS = TakenLockSlots()


class LockSlots:
    """Takes lock slots for the claims of one worker, and their turns."""

    def __init__(self, *, leases: LockLeases, turns: LockTurns) -> None:
        self._leases = leases
        self._turns = turns

    async def take(
        self, demands: Sequence[LockSlotDemand], request: JobRequest, lease_id: str
    ) -> TakenLockSlots:
        """Lease a lock slot for each demand, in their order, until one is full.

        Args:
            lease_id: the claim's. Each lock slot gets an id made from it, so that a repeated claim
                repeats the same acquires.
        """
        taken: list[Lease] = []
        for demand in demands:
            if not demand.locks:
                return TakenLockSlots(tuple(taken), demand)
            own_id = str(uuid5(UUID(lease_id), demand.prefix))
            start = int(request.job_id[-8:], 16) % len(demand.locks)
            ordered = demand.locks[start:] + demand.locks[:start]
            try:
                taken.append(await self._leases.acquire_one(ordered, demand.prefix, own_id))
            except LeaseConflict:
                return TakenLockSlots(tuple(taken), demand)
        return TakenLockSlots(tuple(taken))

    async def look(self, leases: Sequence[Lease], head: Event) -> list[TurnView]:
        """Read the note of each lock slot, and the newest row of the job that it names."""
        views = [await self._turns.look_beside(lease.lock, head.job_id) for lease in leases]
        return [replace(view, own=head) for view in views]

    async def turns(
        self, leases: Sequence[Lease], views: Sequence[TurnView], job_id: str
    ) -> tuple[HeldLock, ...] | None:
        """Fence each predecessor, then write each note; call it while all leases are trusted.

        Returns:
            Each lock slot with its turn; ``None``: something has moved, look again.
        """
        held = []
        for lease, view in zip(leases, views, strict=True):
            turn = await self._turns.take(view, lease, job_id)
            if turn is None:
                return None
            held.append(HeldLock(lease.lock, turn))
        return tuple(held)
