"""What keeps a message from a claim: another holder, an end, a due time, a wait."""

from __future__ import annotations

from datetime import datetime

from jobfleet_contracts.event import Event
from jobfleet_contracts.lease import Lease, job_lock
from jobfleet_contracts.message import JobMessage
from jobfleet_contracts.ports import Clock, LeaseStore
from jobfleet_contracts.state import State
from jobfleet_protocol.claiming.claim_result import (
    Attended,
    Busy,
    ClaimResult,
    Ended,
    NotDue,
    Unsent,
)
from jobfleet_protocol.trail.trail_writer import TrailWriter
from jobfleet_protocol.trail.transitions import Change, draft


class ClaimObstacles:
    """Judges by a job's newest event."""

    def __init__(self, *, leases: LeaseStore, writer: TrailWriter, clock: Clock) -> None:
        self._leases = leases
        self._writer = writer
        self._clock = clock

    async def beside_a_holder(
        self, message: JobMessage, head: Event | None, lock: str
    ) -> ClaimResult | Unsent:
        """Decide what to do with a message whose lock somebody else holds."""
        if head is None:
            return Busy(lock, None)
        if head.after.state.is_terminal:
            return Ended(head, written=False)
        if head.after.state is State.WAITING:
            result = await self._waiting(message, head)
            held_for_it = lock == job_lock(head.job_id)
            return Attended(head) if isinstance(result, Unsent) and held_for_it else result
        if head.after.state is State.RUNNING:
            held = head.after.lock is not None and await self._leases.is_leased(head.after.lock)
            return Attended(head) if held else Busy(lock, head)
        if is_due_later(head, self._clock.now()):
            return NotDue(head)
        return Busy(lock, head)

    async def under_the_lease(
        self, message: JobMessage, head: Event, lease: Lease
    ) -> ClaimResult | Unsent | None:
        """Return what is to be done where the newest event leaves nothing to claim."""
        state = head.after.state
        if state.is_terminal:
            return Ended(head, written=False)
        if state is State.WAITING:
            result = await self._waiting(message, head)
            own = lease.lock == job_lock(head.job_id)
            return None if isinstance(result, Unsent) and own else result
        if is_due_later(head, self._clock.now()):
            return NotDue(head)
        if state is State.RUNNING and await self._lives_elsewhere(head, lease):
            return Attended(head)
        return None

    async def _lives_elsewhere(self, head: Event, lease: Lease) -> bool:
        lock = head.after.lock
        return lock is not None and lock != lease.lock and await self._leases.is_leased(lock)

    async def _waiting(self, message: JobMessage, head: Event) -> ClaimResult | Unsent:
        """Decide about a waiting job: its deadline first, then whether its request has left."""
        now = self._clock.now()
        if not _is_past(head, now):
            if message.due_at is not None and message.due_at > now:
                return NotDue(head, message.due_at)
            return Attended(head) if head.after.sent else Unsent(head)
        change = Change(status="TimedOut", message="no callback came in time")
        event = draft(head, head.facts, change, occurred_at=self._clock.now())
        found = await self._writer.append([event])
        return Ended(event, written=True) if found is None else Attended(found)


def is_due_later(head: Event, now: datetime) -> bool:
    """Whether the job's time, or its deadline, lies ahead."""
    return head.after.due_at is not None and head.after.due_at > now


def _is_past(head: Event, now: datetime) -> bool:
    return head.after.due_at is not None and head.after.due_at <= now
