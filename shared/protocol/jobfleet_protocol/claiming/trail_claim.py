"""The claim in the trail: look, decide, and append ``Started``; who inserts it first runs the job.

What is decided stands in :mod:`jobfleet_protocol.claiming.decision`; here are the reads before it
and the writes after it. An order of awaits in this module is part of the protocol.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import assert_never

from jobfleet_contracts.errors import FleetSealed, LeaseConflict, TrustEnded
from jobfleet_contracts.event import Event
from jobfleet_contracts.lease import Lease, is_worker_lock, job_lock
from jobfleet_contracts.lookup_keys import INDEXED
from jobfleet_contracts.message import JobMessage
from jobfleet_protocol.claiming.acceptance import ForNewer
from jobfleet_protocol.claiming.claim_insert import ClaimInsert, LockHeld
from jobfleet_protocol.claiming.claim_parts import ClaimParts, ClaimTry
from jobfleet_protocol.claiming.claim_result import (
    Claimed,
    ClaimResult,
    LimitFull,
    OtherLock,
    RateFull,
    Unclear,
)
from jobfleet_protocol.claiming.decision import (
    Attended,
    Busy,
    Decision,
    Ended,
    Finish,
    Isolate,
    LockAttempt,
    OtherLockSlot,
    Paused,
    Resend,
    Start,
    Suspect,
    Wait,
    decide,
)
from jobfleet_protocol.claiming.lock_leases import LastingLease, LockLeases
from jobfleet_protocol.claiming.lock_slots import LockSlots
from jobfleet_protocol.claiming.lock_turns import LockTurns, TurnView
from jobfleet_protocol.claiming.lock_views import LockViews
from jobfleet_protocol.claiming.rate_deferral import (
    Postpone,
    delayed_by_rate,
    reserved_starts,
    started_data,
)
from jobfleet_protocol.claiming.rate_limiter import AT_HAND, Admission
from jobfleet_protocol.claiming.start_terms import NO_TERMS, StartTerms
from jobfleet_protocol.claiming.trail_opening import TrailOpening
from jobfleet_protocol.trail.held_trail import HeldTrail
from jobfleet_protocol.trail.trail_writer import Insert
from jobfleet_protocol.trail.transitions import Change, draft

Write = Start | Resend | Finish | Isolate | Postpone
"""The decisions that append events. Every other one is the claim's result as it is."""


class TrailClaim:
    """Writes the claims of one worker, under whatever lock they rest on."""

    def __init__(
        self, parts: ClaimParts, *, leases: LockLeases, turns: LockTurns, lock_slots: LockSlots
    ) -> None:
        self._parts = parts
        self._leases = leases
        self._turns = turns
        self._lock_slots = lock_slots
        self._views = LockViews(
            leases=parts.leases,
            locks=parts.locks,
            worker_id=parts.worker_id,
            rules=parts.rules,
            pauses=parts.controls.pauses,
        )
        self._opening = TrailOpening(
            index=parts.index,
            writer=parts.writer,
            clock=parts.clock,
            defaults=parts.rules.defaults,
            fresh=parts.rules.fresh,
            keys=parts.rules.keys,
        )

    async def at_once(self, claim: ClaimTry) -> Claimed | None:
        """Lease the job's own lock and append ``Started`` in one transaction.

        Only for a job that needs nothing but this lock, and whose message tells all of its trail.

        Returns:
            ``None``: claim under a lease. The lock may be leased already, under the same id.

        Raises:
            LeaseConflict: another worker holds the lock; nothing was written.
        """
        claims, message, terms = self._parts.claims, claim.message, claim.terms
        needs_more = terms.slot_demands or terms.limits or terms.rates or message.request.lock_key
        if claims is None or needs_more or not self._opening.is_certain(message):
            return None
        lock, lease_id = job_lock(message.request.job_id), claim.lease_id
        # As it is with the lease: without it nothing is written.
        decision = await self._decide(claim, self._opening.assumed(message), lock, LockAttempt.HELD)
        if not isinstance(decision, Start) or len(decision.changes) != 1:
            return None
        changes = self._with_keys(decision.changes, message, decision.head)
        seconds = self._parts.lease_seconds
        insert = ClaimInsert(claims, lock=lock, lease_id=lease_id, seconds=seconds).insert
        # From before the first copy is sent: a later one only makes the lease longer.
        lease = self._leases.granted(lock, lease_id, sent_at=self._parts.clock.boottime())
        try:
            newest = await self._append(decision.head, changes, insert)
        except LockHeld as error:
            raise LeaseConflict(str(error)) from error
        if newest is None:
            return None
        await self._require_no_seal(before=decision.head, lease=lease)
        return self._claimed(claim, lease, newest, terms)

    async def under(self, lease: Lease, claim: ClaimTry) -> ClaimResult | OtherLock:
        """Claim the job under a lease, or return what else is to be done about its message.

        Another writer may insert the next event first. Then it looks and decides anew.

        Raises:
            LeaseConflict: another worker has begun the job's trail.
            TrustEnded: the lease ran out before the claim was written.
            BackendError: storage did not answer; the claim may stand.
        """
        message = claim.message
        own = lease.lock == job_lock(message.request.job_id)
        shared = not own and not is_worker_lock(lease.lock)
        must_read = claim.resend_only or shared or not self._opening.is_certain(message)
        admission: Admission | None = None
        while True:
            view = await self._look(message, lease, shared=shared, must_read=must_read)
            # Before anything below looks again. Rounds that assumed event 1 once more would find
            # sequence 2 taken each time, and never end.
            must_read = True
            if view.own is None:
                if await self._opening.write(message) is None:
                    raise LeaseConflict(f"job {message.request.job_id} was begun by another worker")
                continue
            for known in (view.own, view.named):
                if known is not None and not known.is_readable:
                    return ForNewer(view.own, known.strangeness)
            decision, admission = await self._decide_by_terms(claim, view.own, lease, admission)
            match decision:
                case Ended() | Wait() | Busy() | Attended() | Paused() | Suspect():
                    return decision
                case LimitFull() | RateFull():
                    return decision
                case OtherLockSlot(head, lock):
                    return OtherLock(head, lock, resends=False)
                case Resend(head) if not own:
                    return OtherLock(head, job_lock(head.job_id), resends=True)
                case Start() | Resend() | Finish() | Isolate() | Postpone():
                    result = await self._write(decision, view, lease, claim, admission)
                    if result is not None:
                        return result
                case never:
                    assert_never(never)

    async def _write(
        self,
        write: Write,
        view: TurnView,
        lease: Lease,
        claim: ClaimTry,
        admission: Admission | None,
    ) -> ClaimResult | None:
        """Append what was decided and return what the claim comes to; ``None``: look again."""
        # The check comes after the read, never before. Otherwise a worker that slept in its
        # read would take a job over from the live holder that got the lease meanwhile.
        self._require_trust(lease, claim.lasting)
        changes = write.changes
        if isinstance(write, Start):
            started = await self._started(write, view, lease, claim, admission)
            if started is None:
                return None
            changes = self._with_keys(started, claim.message, write.head)
        newest = await self._claimed_by(write.head, changes, lease)
        if newest is None:
            return None
        result = self._result(claim, lease, write, newest, admission)
        if isinstance(result, Claimed):
            await self._require_no_seal(before=write.head, lease=lease)
        return result

    async def _started(
        self,
        start: Start,
        view: TurnView,
        lease: Lease,
        claim: ClaimTry,
        admission: Admission | None,
    ) -> Sequence[Change] | None:
        """Return what starts the job, with turns and reserved start; ``None``: look again."""
        lasting, terms, taken = claim.lasting, claim.terms, claim.taken
        started = start.changes[-1]
        own = lease.lock == job_lock(start.head.job_id) or is_worker_lock(lease.lock)
        if taken.leases:
            beside = await self._lock_slots.look(taken.leases, start.head)
            self._require_trust(lease, lasting, *taken.leases)
            turns = await self._lock_slots.turns(taken.leases, beside, start.head.job_id)
            if turns is None:
                return None
            started = replace(started, locks=turns)
        if not own:
            # Fence the predecessor's trail and write the note before Started. Then a crash in
            # between only leaves a note that names a claim which was never made.
            turn = await self._turns.take(view, lease, start.head.job_id)
            if turn is None:
                return None
            started = replace(started, lock_turn=turn)
        if admission is not None:
            started = replace(started, data=started_data(admission))
        if not own or taken.leases or admission is not None:
            # While the note was written, or a start was reserved, time has passed.
            if (await self._parts.controls.pauses()).holding_job(start.head) is not None:
                return None
            if terms.limits and not terms.hold_under(await self._parts.controls.limits()):
                raise TrustEnded("a limit was changed before the claim")
            self._require_trust(lease, lasting, *taken.leases)
        return [*start.changes[:-1], started]

    def _with_keys(
        self, changes: Sequence[Change], message: JobMessage, head: Event
    ) -> Sequence[Change]:
        """Add the keys that the job's first event may lack, at its first start."""
        if head.after.epoch > 0 or not (keys := self._parts.rules.keys(message)):
            return changes
        data = changes[-1].data | {INDEXED: dict(keys)}
        return [*changes[:-1], replace(changes[-1], data=data)]

    async def _decide_by_terms(
        self, claim: ClaimTry, head: Event, lease: Lease, admission: Admission | None
    ) -> tuple[Decision | Postpone | LimitFull | RateFull, Admission | None]:
        """Decide under a lease. What would start waits for its limits and rates; an end does not.

        Args:
            admission: what an earlier round reserved, in which the job had moved.
        """
        decision = await self._decide(claim, head, lease.lock, LockAttempt.HELD)
        full = claim.taken.full
        if full is not None and isinstance(decision, Start | Isolate | Suspect):
            return LimitFull(decision.head, full), admission
        if isinstance(decision, Start) and claim.terms.rates:
            return await self._admitted(decision, claim.terms, admission)
        return decision, admission

    async def _admitted(
        self, start: Start, terms: StartTerms, admission: Admission | None
    ) -> tuple[Start | Postpone | RateFull, Admission | None]:
        """Reserve a start with each rate, and wait for it if it is near.

        Args:
            admission: what an earlier round reserved, in which the job had moved.
        """
        held = reserved_starts(start.head) if admission is None else admission.starts
        rates = self._parts.controls.rates
        found = await rates.admit(terms.rates, held)
        if not isinstance(found, Admission) or found.at - rates.now() > AT_HAND:
            now = self._parts.clock.now()
            return delayed_by_rate(start, self._parts.worker_id, found, now), None
        await rates.until(found.at)
        return start, found

    def _require_trust(
        self, lease: Lease, lasting: LastingLease | None, *slot_leases: Lease
    ) -> None:
        if lasting is not None and not lasting.is_trusted():
            raise TrustEnded(f"lease on {lasting.lock} was lost before the claim")
        for each in slot_leases if lasting is not None else (lease, *slot_leases):
            if not self._leases.trusts(each):
                raise TrustEnded(f"lease on {each.lock} ran out before the claim")

    async def _look(
        self, message: JobMessage, lease: Lease, *, shared: bool, must_read: bool
    ) -> TurnView:
        if shared:
            return await self._turns.look(lease.lock, message.request.job_id)
        if must_read:
            return TurnView(
                lease.lock, None, None, await self._parts.trail.newest(message.request.job_id)
            )
        # If the guess is wrong, sequence 2 is taken and the append refused: then it is read.
        return TurnView(lease.lock, None, None, self._opening.assumed(message))

    async def _decide(
        self, claim: ClaimTry, head: Event, lock: str, attempt: LockAttempt
    ) -> Decision:
        view = await self._views.view(claim, head, lock, attempt)
        return decide(head, claim.message, view, self._parts.clock.now())

    async def _claimed_by(
        self, head: Event, changes: Sequence[Change], lease: Lease
    ) -> Event | None:
        """Append the events that claim the job.

        An error may come before or after the insert, so it does not tell whether the claim stands.
        """
        try:
            return await self._append(head, changes)
        except Exception:
            # Whatever it was, the rows may have been written; it goes on to the caller.
            if is_worker_lock(lease.lock):
                # The lock lives on. Left alone, a Started under it would look attended for ever.
                self._parts.give_back(Unclear(head, lease.lock))
            raise

    async def _require_no_seal(self, *, before: Event, lease: Lease) -> None:
        """Look again when ``Started`` stands and before the handler starts.

        Otherwise a worker that slept before its insert could start a job that a mover has copied.
        """
        try:
            await self._parts.controls.seal.check()
        except FleetSealed:
            self._parts.give_back(Unclear(before, lease.lock, why="the fleet was sealed"))
            raise

    async def _append(
        self, head: Event, changes: Sequence[Change], insert: Insert | None = None
    ) -> Event | None:
        """Append the changes in one transaction; ``None``: the job has moved, look again."""
        events: list[Event] = []
        for change in changes:
            previous = events[-1] if events else head
            events.append(draft(previous, head.facts, change, occurred_at=self._parts.clock.now()))
        stands = await self._parts.writer.append(events, insert=insert)
        return None if stands is not None else events[-1]

    def _result(
        self,
        claim: ClaimTry,
        lease: Lease,
        write: Write,
        newest: Event,
        admission: Admission | None,
    ) -> Claimed | Ended | Suspect | RateFull:
        """Return what the claim comes to, now that ``newest`` is written."""
        match write:
            case Start():
                return self._claimed(
                    claim, lease, newest, claim.terms, admission, claim.taken.leases
                )
            case Resend():
                return self._claimed(claim, lease, newest)
            case Finish():
                return Ended(newest, written=True)
            case Isolate():
                return Suspect(newest)
            case Postpone():
                return RateFull(newest, write.crowded)
            case never:
                assert_never(never)

    def _claimed(
        self,
        claim: ClaimTry,
        lease: Lease,
        newest: Event,
        terms: StartTerms = NO_TERMS,
        admission: Admission | None = None,
        slot_leases: tuple[Lease, ...] = (),
    ) -> Claimed:
        parts, message = self._parts, claim.message
        trail = HeldTrail(head=newest, writer=parts.writer, trail=parts.trail, clock=parts.clock)
        defaults = message.defaults or parts.rules.defaults
        return Claimed(lease, trail, message.request, defaults, terms, admission, slot_leases)

    async def without_a_lock(
        self, claim: ClaimTry, lock: str, attempt: LockAttempt, *, must_open: bool = False
    ) -> ClaimResult | OtherLock:
        """Decide about a message without a lease on its lock. Nothing is claimed.

        Args:
            lock: a lock of the job; this worker does not hold it.
            attempt: whether another worker holds ``lock``, or this one has not asked for it.
            must_open: begin the trail of a job that has none, so that it can say what it waits for.
        """
        message = claim.message
        while True:
            head = await self._parts.trail.newest(message.request.job_id)
            if head is None and (must_open or message.request.lock_key is not None):
                head = await self._opening.write(message)
            if head is None:
                return Busy(lock, None)
            if not head.is_readable:
                return ForNewer(head, head.strangeness)
            decision = await self._decide(claim, head, lock, attempt)
            match decision:
                case Ended() | Wait() | Busy() | Attended() | Paused():
                    return decision
                case Resend(head):
                    return OtherLock(head, job_lock(head.job_id), resends=True)
                case Finish():
                    ended = await self._append(head, decision.changes)
                    if ended is not None:
                        return Ended(ended, written=True)
                case Start() | Isolate() | Suspect() | OtherLockSlot():
                    raise AssertionError("a job is started or taken over only under its lock")
                case never:
                    assert_never(never)
