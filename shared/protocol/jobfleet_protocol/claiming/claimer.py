"""Claim: lease the lock on which a job rests, then claim the job in its trail.

The lease says who may try, the trail decides. Here is which lock is taken and given up, and when;
the claim under it stands in :mod:`jobfleet_protocol.claiming.trail_claim`.
"""

from __future__ import annotations

from jobfleet_contracts.changed import changed
from jobfleet_contracts.errors import LeaseConflict
from jobfleet_contracts.lease import FLEET_LOCK
from jobfleet_contracts.message import JobMessage
from jobfleet_protocol.claiming.acceptance import Acceptance
from jobfleet_protocol.claiming.claim_parts import ClaimParts, ClaimTry
from jobfleet_protocol.claiming.claim_result import Claimed, ClaimResult, LimitFull, OtherLock
from jobfleet_protocol.claiming.decision import Attended, Busy, LockAttempt, ends_without_a_start
from jobfleet_protocol.claiming.lock_leases import LastingLease, LockLeases, locks_of
from jobfleet_protocol.claiming.lock_slots import NO_LOCK_SLOTS, LockSlotDemand, LockSlots
from jobfleet_protocol.claiming.lock_turns import LockTurns
from jobfleet_protocol.claiming.trail_claim import TrailClaim
from jobfleet_protocol.claiming.unstartable import UnstartableJobs


class Claimer:
    """Claims jobs for one worker.

    Attributes:
        leases: takes and gives up the leases.
        turns: fences the predecessor under a shared lock.
        unstartable: ends jobs whose messages end their workers.
    """

    def __init__(self, parts: ClaimParts) -> None:
        self._terms = parts.rules.terms
        self._now = parts.clock.now
        self._acceptance = Acceptance(trail=parts.trail, payloads=parts.payloads, coder=parts.coder)
        self.leases = LockLeases(
            leases=parts.leases,
            locks=parts.locks,
            clock=parts.clock,
            worker_id=parts.worker_id,
            lease_seconds=parts.lease_seconds,
        )
        self.turns = LockTurns(
            trail=parts.trail,
            locks=parts.locks,
            payloads=parts.payloads,
            writer=parts.writer,
            publication=parts.publication,
            clock=parts.clock,
            worker_id=parts.worker_id,
        )
        self.unstartable = UnstartableJobs(
            trail=parts.trail, writer=parts.writer, clock=parts.clock, worker_id=parts.worker_id
        )
        self._lock_slots = LockSlots(leases=self.leases, turns=self.turns)
        self._claim = TrailClaim(
            parts, leases=self.leases, turns=self.turns, lock_slots=self._lock_slots
        )

    async def claim(
        self,
        message: JobMessage,
        *,
        lease_id: str,
        lasting: LastingLease | None = None,
        is_alone: bool = False,
    ) -> ClaimResult:
        """Try to make the message's job this worker's own.

        Args:
            lease_id: chosen once per claim and kept over its retries.
            lasting: the fleet's lease in scope ``fleet``, the worker's own in scope ``worker``.
            is_alone: this worker runs nothing else, and starts nothing before this claim has
                ended; otherwise a suspect is left unclaimed.

        Raises:
            BackendUnavailable: try again with the same ``lease_id``.
        """
        if message.needs_trail:
            accepted = await self._acceptance.of(message)
            if not isinstance(accepted, JobMessage):
                return accepted
            message = accepted
        request = message.request
        terms = await self._terms(request)
        claim = ClaimTry(message=message, lease_id=lease_id, terms=terms, is_alone=is_alone)
        if lasting is not None and lasting.lock == FLEET_LOCK:
            return await self._resent(claim, await self._on(lasting, claim))
        taken = NO_LOCK_SLOTS
        if terms.slot_demands:
            taken = await self._lock_slots.take(terms.slot_demands, request, lease_id)
            claim = changed(claim, taken=taken)
        if taken.full is not None:
            result = await self._beside_full(claim, lasting, taken.full)
        else:
            result = await self._under_a_lock(claim, lasting)
        claimed = await self._resent(claim, result)
        if not (isinstance(claimed, Claimed) and claimed.slot_leases):
            # Last: released before, a lock slot could be freed late, under a later try of this
            # claim, which uses the same lease ids.
            for lease in taken.leases:
                await self.leases.let_go(lease, request)
        return claimed

    async def _on(self, lasting: LastingLease, claim: ClaimTry) -> ClaimResult | OtherLock:
        """Claim on a lease that the worker holds already: no request to a lock is needed."""
        return await self._claim.under(lasting.current(), changed(claim, lasting=lasting))

    async def _beside_full(
        self, claim: ClaimTry, lasting: LastingLease | None, full: LockSlotDemand
    ) -> ClaimResult | OtherLock:
        """Decide about a job that finds no lock slot of a limit.

        The job only must not start. An end is written, and a waiting job's request is sent. Most
        jobs only wait for a slot: then no request to their locks is sent.
        """
        lock = locks_of(claim.message.request)[0]
        result = await self._claim.without_a_lock(claim, lock, LockAttempt.UNTRIED, must_open=True)
        if not isinstance(result, Busy):
            return result
        if result.head is not None and ends_without_a_start(result.head, self._now()):
            return await self._under_a_lock(claim, lasting)
        return LimitFull(result.head, full)

    async def _under_a_lock(
        self, claim: ClaimTry, lasting: LastingLease | None
    ) -> ClaimResult | OtherLock:
        """Claim on the lease that the worker holds, or on one that is taken for the job."""
        if lasting is not None and claim.message.request.lock_key is None:
            return await self._on(lasting, claim)
        return await self._under_its_lock(claim)

    async def _under_its_lock(self, claim: ClaimTry) -> ClaimResult | OtherLock:
        request = claim.message.request
        try:
            if (claimed := await self._claim.at_once(claim)) is not None:
                return claimed
            lease = await self.leases.acquire_for(request, claim.lease_id)
        except LeaseConflict:
            return await self._claim.without_a_lock(
                claim, locks_of(request)[0], LockAttempt.REFUSED
            )
        # After an exception the lease stays. The claim may stand, and the next try repeats the
        # acquire under the same lease id. Released here, another worker could lease the lock and
        # take over a job that this worker is about to run.
        result = await self._claim.under(lease, claim)
        if isinstance(result, OtherLock) and not result.resends:
            result = await self._in_lock_slot(claim, result)
            await self.leases.let_go(lease, request)
        elif not isinstance(result, Claimed):
            await self.leases.let_go(lease, request)
        return result

    async def _in_lock_slot(self, claim: ClaimTry, other: OtherLock) -> ClaimResult | OtherLock:
        """Take a lost job over in the lock slot in which it ran.

        The slot at hand is given up afterwards. Given up before, its release could come late and
        free it under a later try of this claim, which uses the same lease id.
        """
        try:
            lease = await self.leases.acquire(other.lock, claim.lease_id)
        except LeaseConflict:
            return Attended(other.head)  # its holder runs the job, or fences it
        result = await self._claim.under(lease, claim)
        if not isinstance(result, Claimed):
            await self.leases.let_go(lease, claim.message.request)
        return result

    async def _resent(self, claim: ClaimTry, result: ClaimResult | OtherLock) -> ClaimResult:
        """Return the result, after another claim where a waiting job's request is to be sent.

        A job that was not in the lock slot either has moved: another worker is at work on it.
        """
        if not isinstance(result, OtherLock):
            return result
        return await self._resend(claim, result) if result.resends else Attended(result.head)

    async def _resend(self, claim: ClaimTry, own: OtherLock) -> ClaimResult:
        """Claim a waiting job under its own lock, whatever lock its runs rest on.

        A waiting job holds no shared lock, and none is needed to repeat what it has begun.
        """
        message, lease_id = claim.message, claim.lease_id
        try:
            lease = await self.leases.acquire(own.lock, lease_id, is_new=True)
        except LeaseConflict:
            return Attended(own.head)
        resend = ClaimTry(message=message, lease_id=lease_id, resend_only=True)
        result = await self._claim.under(lease, resend)
        if isinstance(result, Claimed):
            return result
        await self.leases.let_go(lease, message.request)
        return Attended(result.head) if isinstance(result, OtherLock) else result
