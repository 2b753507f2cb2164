"""Claim: lease, look, decide, and append ``Started``; whoever inserts it first runs the job.

The lease says who may try, the trail decides. What is decided stands in
:mod:`jobfleet_protocol.claiming.decision`; here are the reads before it and the writes after it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from jobfleet_contracts.errors import LeaseConflict, LockMissing, TrustEnded
from jobfleet_contracts.event import Event
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.lease import FLEET_LOCK, SUSPECT_NOTE, Lease, is_worker_lock, job_lock
from jobfleet_contracts.lookup_keys import INDEXED
from jobfleet_contracts.message import JobDefaults, JobMessage
from jobfleet_contracts.ports import (
    AuditTrail,
    Clock,
    JobIndex,
    LeaseStore,
    LockRecords,
    PayloadStore,
)
from jobfleet_contracts.state import State
from jobfleet_protocol.actions.publication import Publication
from jobfleet_protocol.claiming.acceptance import Acceptance, ForNewer, NoRequest
from jobfleet_protocol.claiming.decision import (
    Attended,
    Busy,
    Decision,
    End,
    LimitFull,
    LockView,
    OtherSlot,
    Paused,
    RateFull,
    Resend,
    Start,
    Suspect,
    Wait,
    decide,
)
from jobfleet_protocol.claiming.limit_slots import NO_SLOTS, LimitSlots, SlotDemand, TakenSlots
from jobfleet_protocol.claiming.lock_leases import HeldLease, LockLeases, locks_of
from jobfleet_protocol.claiming.lock_turns import LockTurns, TurnView
from jobfleet_protocol.claiming.rate_deferral import delayed_by_rate, held_slots, started_data
from jobfleet_protocol.claiming.rate_slots import AT_HAND, Admission, RateSlots
from jobfleet_protocol.claiming.start_terms import NO_TERMS, ReadLimits, StartTerms, TermsOf
from jobfleet_protocol.claiming.trail_opening import KeysOf, TrailOpening
from jobfleet_protocol.control.pause_state import FleetPauses
from jobfleet_protocol.trail.held_trail import HeldTrail
from jobfleet_protocol.trail.trail_writer import TrailWriter
from jobfleet_protocol.trail.transitions import Change, draft

AttemptLimit = Callable[[JobRequest, JobDefaults], int]
TakeoverLimit = Callable[[JobRequest], int]
ReadPauses = Callable[[], Awaitable[FleetPauses]]


@dataclass(frozen=True, slots=True)
class Claimed:
    """The job is this worker's to run; ``trail.head`` is its ``Started``, or the ``TakenOver``
    of a waiting job whose request is to be sent again.

    Attributes:
        terms: what the start needed beside the lock.
        admission: the slots of the start, where it counts against a rate.
        slots: leases of the limits' slots that the claim holds beside its lock.
    """

    lease: Lease
    trail: HeldTrail
    request: JobRequest
    defaults: JobDefaults
    terms: StartTerms = NO_TERMS
    admission: Admission | None = None
    slots: tuple[Lease, ...] = ()


@dataclass(frozen=True, slots=True)
class Unclear:
    """A claim on top of ``head`` that may stand in the trail, or may still come to stand there."""

    head: Event
    lock: str


ClaimResult = (
    Claimed
    | End
    | Wait
    | Busy
    | Attended
    | Paused
    | LimitFull
    | RateFull
    | Suspect
    | NoRequest
    | ForNewer
)

FRESH = timedelta(days=1)
"""Up to this age a first message needs no read before the claim."""


class Claimer:
    """Claims jobs for one worker.

    Attributes:
        leases: takes and gives up the leases.
        turns: fences the predecessor under a shared lock.
    """

    def __init__(
        self,
        *,
        trail: AuditTrail,
        leases: LeaseStore,
        locks: LockRecords,
        index: JobIndex,
        payloads: PayloadStore,
        writer: TrailWriter,
        publication: Publication,
        clock: Clock,
        worker_id: str,
        lease_seconds: float,
        defaults: JobDefaults,
        attempt_limit: AttemptLimit,
        takeover_limit: TakeoverLimit,
        pauses: ReadPauses,
        rates: RateSlots,
        terms: TermsOf,
        give_back: Callable[[Unclear], object],
        limits: ReadLimits,
        keys: KeysOf = lambda _: {},
        fresh: timedelta = FRESH,
    ) -> None:
        """Take the parts.

        Args:
            pauses: the pauses in force; waits until they are known.
            rates: reserves slots for starts under a rate.
            terms: what the start of a job needs beside its lock.
            limits: the named limits as they stand; waits until they are known.
            keys: by which a job will be looked up, where its first event may lack them.
            attempt_limit: how many attempts a job has, by its request, handler and defaults.
            takeover_limit: how many lost workers in a row a job survives.
            give_back: sees to a claim that was given up after it was sent.
            fresh: age of a message up to which a first claim needs no read.
        """
        self._worker_id = worker_id
        self._attempt_limit = attempt_limit
        self._takeover_limit = takeover_limit
        self._give_back = give_back
        self._pauses = pauses
        self._rates = rates
        self._terms = terms
        self._named_limits = limits
        self._keys = keys
        self._holders = leases
        self._locks = locks
        self._trail = trail
        self._acceptance = Acceptance(trail=trail, payloads=payloads)
        self._writer = writer
        self._clock = clock
        self._defaults = defaults
        self.leases = LockLeases(
            leases=leases,
            locks=locks,
            clock=clock,
            worker_id=worker_id,
            lease_seconds=lease_seconds,
        )
        self.turns = LockTurns(
            trail=trail,
            locks=locks,
            payloads=payloads,
            writer=writer,
            publication=publication,
            clock=clock,
            worker_id=worker_id,
        )
        self._limits = LimitSlots(leases=self.leases, turns=self.turns)
        self._opening = TrailOpening(
            index=index, writer=writer, clock=clock, defaults=defaults, fresh=fresh, keys=keys
        )

    async def claim(
        self,
        message: JobMessage,
        *,
        lease_id: str,
        held: HeldLease | None = None,
        is_alone: bool = False,
    ) -> ClaimResult:
        """Try to make the message's job this worker's own.

        Args:
            lease_id: chosen once per claim and kept over its retries.
            held: the fleet's lease in scope ``fleet``, the worker's own in scope ``worker``.
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
        terms = await self._terms(message.request)
        if held is not None and held.lock == FLEET_LOCK:
            result = await self._on(held, message, terms, NO_SLOTS, is_alone=is_alone)
            return await self._resent(message, lease_id, result)
        taken = await self._limits.take(terms.slots, message.request, lease_id)
        if taken.full is None and held is not None and message.request.lock_key is None:
            result = await self._on(held, message, terms, taken, is_alone=is_alone)
        elif taken.full is None:
            result = await self._under_its_lock(message, lease_id, terms, taken, is_alone=is_alone)
        else:
            result = await self._beside_full(message, taken.full)
        claimed = await self._resent(message, lease_id, result)
        if not (isinstance(claimed, Claimed) and claimed.slots):
            # Last: released before, a slot could be freed late, under a later try of this claim,
            # which uses the same lease ids.
            for lease in taken.leases:
                await self.leases.let_go(lease, message.request)
        return claimed

    async def _on(
        self,
        held: HeldLease,
        message: JobMessage,
        terms: StartTerms,
        taken: TakenSlots,
        *,
        is_alone: bool,
    ) -> ClaimResult | Resend | OtherSlot:
        """Claim on a lease that the worker holds already: no request to a lock is needed."""
        lease = held.current()
        return await self._under(message, lease, terms, taken, held=held, is_alone=is_alone)

    async def _resent(
        self, message: JobMessage, lease_id: str, result: ClaimResult | Resend | OtherSlot
    ) -> ClaimResult:
        match result:
            case Resend(head):
                return await self._resend(message, lease_id, head)
            case OtherSlot(head):
                return Attended(head)
            case _:
                return result

    async def _beside_full(
        self, message: JobMessage, full: SlotDemand
    ) -> ClaimResult | Resend | OtherSlot:
        """Decide about a job that finds no slot of a limit; an end is written all the same."""
        result = await self._beside_a_holder(message, locks_of(message.request)[0], must_open=True)
        return LimitFull(result.head, full) if isinstance(result, Busy) else result

    async def _under_its_lock(
        self,
        message: JobMessage,
        lease_id: str,
        terms: StartTerms,
        taken: TakenSlots,
        *,
        is_alone: bool,
    ) -> ClaimResult | Resend | OtherSlot:
        try:
            lease = await self.leases.acquire_for(message.request, lease_id)
        except LeaseConflict:
            return await self._beside_a_holder(message, locks_of(message.request)[0])
        result = await self._under(message, lease, terms, taken, is_alone=is_alone)
        if isinstance(result, OtherSlot):
            result = await self._in_other_slot(
                message, lease_id, result, terms, taken, is_alone=is_alone
            )
            await self.leases.let_go(lease, message.request)
        elif not isinstance(result, Claimed):
            await self.leases.let_go(lease, message.request)
        return result

    async def _in_other_slot(
        self,
        message: JobMessage,
        lease_id: str,
        other: OtherSlot,
        terms: StartTerms,
        taken: TakenSlots,
        *,
        is_alone: bool,
    ) -> ClaimResult | Resend | OtherSlot:
        """Take a lost job over in the slot in which it ran.

        The slot at hand is given up afterwards. Given up before, its release could come late and
        free it under a later try of this claim, which uses the same lease id.
        """
        try:
            lease = await self.leases.acquire(other.lock, lease_id)
        except LeaseConflict:
            return Attended(other.head)  # whoever holds it runs the job, or fences it
        result = await self._under(message, lease, terms, taken, is_alone=is_alone)
        if not isinstance(result, Claimed):
            await self.leases.let_go(lease, message.request)
        return result

    async def _resend(self, message: JobMessage, lease_id: str, head: Event) -> ClaimResult:
        """Claim a waiting job under its own lock, whatever lock its runs rest on.

        A waiting job holds no shared lock, and none is needed to repeat what it has begun.
        """
        try:
            lease = await self.leases.acquire(job_lock(head.job_id), lease_id, is_new=True)
        except LeaseConflict:
            return Attended(head)
        result = await self._under(message, lease, NO_TERMS, NO_SLOTS, resend_only=True)
        if isinstance(result, Claimed):
            return result
        await self.leases.let_go(lease, message.request)
        return Attended(result.head) if isinstance(result, Resend | OtherSlot) else result

    async def _beside_a_holder(
        self, message: JobMessage, lock: str, *, must_open: bool = False
    ) -> ClaimResult | Resend | OtherSlot:
        """Decide about a message whose lock another worker holds. Nothing is claimed.

        Args:
            must_open: begin the trail of a job that has none, so that it can say what it waits for.
        """
        while True:
            head = await self._trail.newest(message.request.job_id)
            if head is None and (must_open or message.request.lock_key is not None):
                head = await self._opening.write(message)
            if head is None:
                return Busy(lock, None)
            decision = await self._decide(message, head, lock, is_held=False)
            match decision:
                case End(changes=[_, *_]):
                    ended = await self._append(head, decision.changes)
                    if ended is not None:
                        return End(ended, written=True)
                case Start():
                    raise AssertionError("a job is started only under its lock")
                case _:
                    return decision

    async def _under(
        self,
        message: JobMessage,
        lease: Lease,
        terms: StartTerms,
        taken: TakenSlots,
        *,
        held: HeldLease | None = None,
        resend_only: bool = False,
        is_alone: bool = False,
    ) -> ClaimResult | Resend | OtherSlot:
        """Decide and write under a lease; a write that is refused leads to another look."""
        own = lease.lock == job_lock(message.request.job_id)
        shared = not own and not is_worker_lock(lease.lock)
        must_read = resend_only or shared or not self._opening.is_certain(message)
        admission: Admission | None = None
        while True:
            view = await self._look(message, lease, shared=shared, must_read=must_read)
            must_read = True
            if view.own is None:
                if await self._opening.write(message) is None:
                    raise LeaseConflict(f"job {message.request.job_id} was begun by somebody else")
                continue
            decision: Decision | RateFull = await self._decide(
                message,
                view.own,
                lease.lock,
                is_held=True,
                resend_only=resend_only,
                is_alone=is_alone,
            )
            if isinstance(decision, Start) and terms.rates:
                decision, admission = await self._in_its_slot(decision, terms, admission)
            match decision:
                case (
                    Wait()
                    | Busy()
                    | Attended()
                    | Paused()
                    | OtherSlot()
                    | End(changes=[])
                    | RateFull(changes=())
                    | Suspect(changes=[])
                ):
                    return decision
                case Resend() if not own:
                    return decision  # another lock is needed, and this one must be given up first
            # After the read and never before: a worker that slept in its read would otherwise
            # take a job over from the live holder that got the lease meanwhile.
            self._require_trust(lease, held)
            changes: Sequence[Change] | None = decision.changes
            if isinstance(decision, Start):
                changes = await self._started(decision, view, lease, held, terms, taken, admission)
                changes = self._with_keys(changes, message, decision.head)
            newest = None if changes is None else await self._claimed_by(view.own, changes, lease)
            if newest is not None:
                outcome = self._outcome(message, lease, decision, newest)
                if isinstance(outcome, Claimed) and isinstance(decision, Start):
                    return replace(outcome, terms=terms, admission=admission, slots=taken.leases)
                return outcome

    async def _started(
        self,
        start: Start,
        view: TurnView,
        lease: Lease,
        held: HeldLease | None,
        terms: StartTerms,
        taken: TakenSlots,
        admission: Admission | None,
    ) -> Sequence[Change] | None:
        """Return what starts the job, with its turn and its slot; ``None``: look again."""
        started = start.changes[-1]
        own = lease.lock == job_lock(start.head.job_id) or is_worker_lock(lease.lock)
        if taken.leases:
            beside = await self._limits.look(taken.leases, start.head)
            self._require_trust(lease, held, *taken.leases)
            turns = await self._limits.turns(taken.leases, beside, start.head.job_id)
            if turns is None:
                return None
            started = replace(started, locks=turns)
        if not own:
            # The predecessor's trail is fenced and the note written before Started: a crash
            # in between leaves a note that names a claim which was never made, no more.
            turn = await self.turns.take(view, lease, start.head.job_id)
            if turn is None:
                return None
            started = replace(started, lock_turn=turn)
        if admission is not None:
            started = replace(started, data=started_data(admission))
        if not own or taken.leases or admission is not None:
            # While the note was written, or a slot was reserved, time has passed.
            if (await self._pauses()).holding_job(start.head) is not None:
                return None
            if terms.limits and not terms.hold_under(await self._named_limits()):
                raise TrustEnded("a limit was changed before the claim")
            self._require_trust(lease, held, *taken.leases)
        return [*start.changes[:-1], started]

    def _with_keys(
        self, changes: Sequence[Change] | None, message: JobMessage, head: Event
    ) -> Sequence[Change] | None:
        """Add the keys that the job's first event may lack, at its first start."""
        if changes is None or head.after.epoch > 0 or not (keys := self._keys(message)):
            return changes
        data = changes[-1].data | {INDEXED: dict(keys)}
        return [*changes[:-1], replace(changes[-1], data=data)]

    async def _in_its_slot(
        self, start: Start, terms: StartTerms, admission: Admission | None
    ) -> tuple[Start | RateFull, Admission | None]:
        """Reserve the start's slots, and wait for them if they are near.

        Args:
            admission: of an earlier round, in which the job had moved.
        """
        held = held_slots(start.head) if admission is None else admission.slots
        found = await self._rates.admit(terms.rates, held)
        if not isinstance(found, Admission) or found.at - self._rates.now() > AT_HAND:
            now = self._clock.now()
            return delayed_by_rate(start, self._worker_id, found, now), None
        await self._rates.until(found.at)
        return start, found

    def _require_trust(self, lease: Lease, held: HeldLease | None, *slots: Lease) -> None:
        if held is not None and not held.is_trusted():
            raise TrustEnded(f"lease on {held.lock} was lost before the claim")
        for each in slots if held is not None else (lease, *slots):
            if not self.leases.trusts(each):
                raise TrustEnded(f"lease on {each.lock} ran out before the claim")

    async def _look(
        self, message: JobMessage, lease: Lease, *, shared: bool, must_read: bool
    ) -> TurnView:
        if shared:
            return await self.turns.look(lease.lock, message.request.job_id)
        if must_read:
            return TurnView(
                lease.lock, None, None, await self._trail.newest(message.request.job_id)
            )
        # If the guess is wrong, sequence 2 is taken and the append refused: then it is read.
        return TurnView(lease.lock, None, None, self._opening.assumed(message))

    async def _decide(
        self,
        message: JobMessage,
        head: Event,
        lock: str,
        *,
        is_held: bool,
        resend_only: bool = False,
        is_alone: bool = False,
    ) -> Decision:
        holder_lives = await self._holder_lives(head, None if not is_held else lock)
        lease = LockView(
            lock=lock,
            slots=() if is_worker_lock(lock) else locks_of(message.request),
            worker_id=self._worker_id,
            is_held=is_held,
            holder_lives=holder_lives,
            resend_only=resend_only,
            max_attempts=self._attempt_limit(message.request, message.defaults or self._defaults),
            max_takeovers=self._takeover_limit(message.request),
            is_alone=is_alone,
            suspect=None if holder_lives else await self._suspect(head),
            # Last: from here to the append nothing waits, so no pause can come in between.
            pause=(await self._pauses()).holding_job(head),
        )
        return decide(head, message, lease, self._clock.now())

    async def _suspect(self, head: Event) -> str | None:
        """Return which job blocked the loop of a lost worker, as the note of its lock says."""
        lock = head.after.lock
        if head.after.state is not State.RUNNING or lock is None or not is_worker_lock(lock):
            return None
        try:
            return (await self._locks.read_note(lock)).get(SUSPECT_NOTE)
        except LockMissing:
            return None

    async def _holder_lives(self, head: Event, held: str | None) -> bool:
        """Ask whether the lock of a running job is leased.

        The one that we hold is ours: its earlier holder is gone. On this worker's own lock the
        job runs here.
        """
        lock = head.after.lock
        if head.after.state is not State.RUNNING or lock is None:
            return False
        if lock == held:
            return is_worker_lock(lock)
        return await self._holders.is_leased(lock)

    async def _claimed_by(
        self, head: Event, changes: Sequence[Change], lease: Lease
    ) -> Event | None:
        """Append what claims the job. After an error of our own nobody knows whether it stands."""
        try:
            return await self._append(head, changes)
        except Exception:
            if is_worker_lock(lease.lock):
                # The lock lives on. Left alone, a Started under it would look attended for ever.
                self._give_back(Unclear(head, lease.lock))
            raise

    async def _append(self, head: Event, changes: Sequence[Change]) -> Event | None:
        """Append the changes in one transaction; ``None``: the job has moved, look again."""
        events: list[Event] = []
        for change in changes:
            previous = events[-1] if events else head
            events.append(draft(previous, head.facts, change, occurred_at=self._clock.now()))
        return None if await self._writer.append(events) is not None else events[-1]

    def _outcome(
        self,
        message: JobMessage,
        lease: Lease,
        decision: Decision | RateFull,
        newest: Event,
    ) -> Claimed | End | Suspect | RateFull:
        if newest.after.state.is_terminal:
            return End(newest, written=True)
        if isinstance(decision, RateFull):
            return RateFull(newest, decision.crowded)
        if newest.after.state is State.DEFERRED:
            return Suspect(newest)
        trail = HeldTrail(head=newest, writer=self._writer, trail=self._trail, clock=self._clock)
        defaults = message.defaults or self._defaults
        return Claimed(lease, trail, message.request, defaults)
