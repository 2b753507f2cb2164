"""Claim: lease, look, and write ``Started``; whoever inserts it first runs the job.

The lease says who may try, the trail decides. Trust in the lease is checked after the newest row
was read and never before, so that a sleeper cannot take over a live holder. Before ``Started``
is sent nothing may be done on the strength of the lease alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
import uuid_utils

from jobfleet_contracts.backend import Backend
from jobfleet_contracts.errors import BackendError, LeaseConflict, LockMissing, TrustEnded
from jobfleet_contracts.event import Event, JobFacts
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.lease import FLEET_LOCK, Lease, job_lock, key_lock, safety_margin
from jobfleet_contracts.message import JobDefaults, JobMessage
from jobfleet_contracts.ports import Clock
from jobfleet_contracts.state import State
from jobfleet_protocol.held_trail import HeldTrail
from jobfleet_protocol.lock_turns import LockTurns, TurnView
from jobfleet_protocol.publication import Publication
from jobfleet_protocol.submission import open_row, opening_change
from jobfleet_protocol.trail_writer import TrailWriter
from jobfleet_protocol.transitions import Change, draft

LOCK_ACQUIRED = "lock.acquired"
LOCK_RELEASE_UNCLEAR = "lock.release_unclear"
MAX_TAKEOVERS = 5
"""More running attempts lost in a row than this end the job: it kills its workers."""
FRESH = timedelta(days=1)
"""Up to this age a first message needs no read before the claim."""

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Claimed:
    """The job is this worker's to run; ``trail.head`` is its ``Started``, or the ``TakenOver``
    of a waiting job whose request is to be sent again."""

    lease: Lease
    trail: HeldTrail
    request: JobRequest
    defaults: JobDefaults


@dataclass(frozen=True, slots=True)
class Ended:
    """The job has ended. ``written`` if this claim wrote the end, and the rest must follow."""

    head: Event
    written: bool


@dataclass(frozen=True, slots=True)
class NotDue:
    """Too early; pass the message on until the time that ``head`` names, or until ``until``."""

    head: Event
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Busy:
    """The lock is another job's, or another worker is claiming this one. Try later."""

    lock: str
    head: Event | None


@dataclass(frozen=True, slots=True)
class Attended:
    """Another worker runs the job, or it waits for its callback: the message is not needed."""

    head: Event


@dataclass(frozen=True, slots=True)
class _Unsent:
    """A waiting job whose request has not verifiably left: to be claimed under its own lock."""

    head: Event


ClaimResult = Claimed | Ended | NotDue | Busy | Attended
AttemptLimit = Callable[[JobRequest, JobDefaults], int]


class Claimer:
    """Claims jobs for one worker."""

    def __init__(
        self,
        *,
        backend: Backend,
        writer: TrailWriter,
        clock: Clock,
        worker_id: str,
        lease_seconds: float,
        defaults: JobDefaults,
        attempt_limit: AttemptLimit,
        fresh: timedelta = FRESH,
    ) -> None:
        """Take the parts.

        Args:
            fresh: age of a message up to which a first claim needs no read.
        """
        self._backend = backend
        self._writer = writer
        self._clock = clock
        self._worker_id = worker_id
        self._lease_seconds = lease_seconds
        self._defaults = defaults
        self._attempt_limit = attempt_limit
        self._fresh = fresh
        publication = Publication(backend=backend, clock=clock)
        self.turns = LockTurns(
            backend=backend,
            writer=writer,
            publication=publication,
            clock=clock,
            worker_id=worker_id,
        )

    async def claim(
        self, message: JobMessage, *, lease_id: str, fleet: Lease | None = None
    ) -> ClaimResult:
        """Try to make the message's job this worker's own.

        Args:
            lease_id: chosen once per claim and kept over its retries.
            fleet: the fleet's lease, held already, in scope ``fleet``.

        Raises:
            BackendUnavailable: try again with the same ``lease_id``.
        """
        if fleet is not None:
            result = await self._under(message, fleet)
        else:
            result = await self._under_its_lock(message, lease_id)
        if isinstance(result, _Unsent):
            return await self._resend(message, lease_id, result.head)
        return result

    async def _under_its_lock(self, message: JobMessage, lease_id: str) -> ClaimResult | _Unsent:
        lock = lock_of(message.request)
        try:
            lease = await self.acquire(lock, lease_id, is_new=message.request.lock_key is None)
        except LeaseConflict:
            return await self._meanwhile(message, lock)
        result = await self._under(message, lease)
        if not isinstance(result, Claimed):
            await self._let_go(lease, message.request)
        return result

    async def _let_go(self, lease: Lease, request: JobRequest) -> None:
        """Give up a lease that no claim came of.

        A release without an answer may still be carried out, so it is no reason to claim again
        under the same lease id: the handler's lease would vanish beneath it.
        """
        try:
            await self.give_up(lease, request)
        except BackendError as error:
            _log.warning(LOCK_RELEASE_UNCLEAR, lock=lease.lock, error=str(error))

    async def _resend(self, message: JobMessage, lease_id: str, head: Event) -> ClaimResult:
        """Claim a waiting job under its own lock, whatever lock its runs rest on.

        A waiting job holds no shared lock, and none is needed to repeat what it has begun.
        """
        try:
            lease = await self.acquire(job_lock(head.job_id), lease_id, is_new=True)
        except LeaseConflict:
            return Attended(head)
        result = await self._under(message, lease, resend=True)
        if isinstance(result, Claimed):
            return result
        await self._let_go(lease, message.request)
        return Attended(result.head) if isinstance(result, _Unsent) else result

    async def acquire(self, lock: str, lease_id: str, *, is_new: bool = False) -> Lease:
        """Lease a lock, creating it where it is missing.

        Args:
            is_new: the lock probably does not exist yet: create it first.

        Raises:
            LeaseConflict: somebody else holds it.
        """
        leases = self._backend.leases
        if is_new:
            await leases.create(lock)
        while True:
            sent_at = self._clock.boottime()
            try:
                await leases.acquire(lock, lease_id, self._lease_seconds)
            except LockMissing:
                await leases.create(lock)
                continue
            _log.debug(LOCK_ACQUIRED, lock=lock)
            trusted_until = sent_at + self._lease_seconds - safety_margin(self._lease_seconds)
            return Lease(lock, self._worker_id, lease_id, trusted_until)

    def trusts(self, lease: Lease) -> bool:
        """Whether the lease may be relied on now, by this worker's own clock."""
        return self._clock.boottime() < lease.trusted_until

    async def give_up(self, lease: Lease, request: JobRequest) -> None:
        """Release a lease; a job's own lock goes with it."""
        if lease.lock == FLEET_LOCK:
            return
        if lease.lock == job_lock(request.job_id):
            await self._backend.leases.delete(lease.lock, lease.lease_id)
        else:
            await self._backend.leases.release(lease.lock, lease.lease_id)

    async def _meanwhile(self, message: JobMessage, lock: str) -> ClaimResult | _Unsent:
        """Decide what to do with a message whose lock somebody else holds."""
        head = await self._backend.trail.newest(message.request.job_id)
        if head is None and message.request.lock_key is not None:
            head = await self._open(message)
        if head is None:
            return Busy(lock, None)
        if head.after.state.is_terminal:
            return Ended(head, written=False)
        if head.after.state is State.WAITING:
            result = await self._waiting(message, head)
            held_for_it = lock == job_lock(head.job_id)
            return Attended(head) if isinstance(result, _Unsent) and held_for_it else result
        if head.after.state is State.RUNNING:
            held = head.after.lock is not None and await self._backend.leases.is_leased(
                head.after.lock
            )
            return Attended(head) if held else Busy(lock, head)
        if _due_later(head, self._clock.now()):
            return NotDue(head)
        return Busy(lock, head)

    async def _under(
        self, message: JobMessage, lease: Lease, *, resend: bool = False
    ) -> ClaimResult | _Unsent:
        shared = lease.lock != job_lock(message.request.job_id)
        must_read = shared or resend or not self._is_first(message)
        while True:
            view = await self._look(message, lease, shared=shared, must_read=must_read)
            must_read = True
            if view.own is None:
                await self._open(message)
                continue
            idle = await self._without_claim(message, view.own, lease)
            if idle is not None:
                return idle
            if resend and view.own.after.state is not State.WAITING:
                return Attended(view.own)
            if not self.trusts(lease):
                raise TrustEnded(f"lease on {lease.lock} ran out before the claim")
            turn = await self.turns.take(view, lease, message.request.job_id) if shared else None
            if shared and turn is None:
                continue
            result = await self._write(message, lease, view.own, turn)
            if result is not None:
                return result

    async def _look(
        self, message: JobMessage, lease: Lease, *, shared: bool, must_read: bool
    ) -> TurnView:
        if shared:
            return await self.turns.look(lease.lock, message.request.job_id)
        if must_read:
            return TurnView(None, None, await self._backend.trail.newest(message.request.job_id))
        return TurnView(None, None, self._assumed_opening(message))

    def _is_first(self, message: JobMessage) -> bool:
        return (
            message.sequence == 1
            and message.defaults is not None
            and message.published_at is not None
            and self._clock.now() - message.published_at < self._fresh
            and not _lies_ahead(message.due_at, self._clock.now())
        )

    def _assumed_opening(self, message: JobMessage) -> Event:
        """Event 1 as the message tells it; a claim on a wrong assumption is refused."""
        change = Change(
            status="Queued" if message.due_at is None else "Scheduled",
            due_at=message.due_at,
            max_attempts=self._opening_limit(message),
        )
        return draft(
            None, JobFacts.of(message.request), change, occurred_at=message.request.created_at
        )

    def _opening_limit(self, message: JobMessage) -> int:
        defaults = message.defaults or self._defaults
        return message.request.max_attempts or defaults.max_attempts

    async def _open(self, message: JobMessage) -> Event | None:
        """Begin the trail of a job that a foreign publisher put on the queue."""
        now = self._clock.now()
        facts = JobFacts.of(message.request)
        defaults = message.defaults or self._defaults
        change = opening_change(message.request, defaults, now=now, by="message")
        event = draft(None, facts, change, occurred_at=now)
        await self._backend.index.open(open_row(facts, event.after, now))
        return event if await self._writer.append([event]) is None else None

    async def _without_claim(
        self, message: JobMessage, head: Event, lease: Lease
    ) -> ClaimResult | _Unsent | None:
        """Return what is to be done where the newest event leaves nothing to claim."""
        state = head.after.state
        if state.is_terminal:
            return Ended(head, written=False)
        if state is State.WAITING:
            result = await self._waiting(message, head)
            own = lease.lock == job_lock(head.job_id)
            return None if isinstance(result, _Unsent) and own else result
        if _due_later(head, self._clock.now()):
            return NotDue(head)
        if state is State.RUNNING and await self._lives_elsewhere(head, lease):
            return Attended(head)
        return None

    async def _lives_elsewhere(self, head: Event, lease: Lease) -> bool:
        lock = head.after.lock
        return (
            lock is not None and lock != lease.lock and await self._backend.leases.is_leased(lock)
        )

    async def _waiting(self, message: JobMessage, head: Event) -> ClaimResult | _Unsent:
        """Decide about a waiting job: its deadline first, then whether its request has left."""
        now = self._clock.now()
        if not _is_past(head, now):
            if message.due_at is not None and message.due_at > now:
                return NotDue(head, message.due_at)
            return Attended(head) if head.after.sent else _Unsent(head)
        change = Change(status="TimedOut", message="no callback came in time")
        event = draft(head, head.facts, change, occurred_at=self._clock.now())
        found = await self._writer.append([event])
        return Ended(event, written=True) if found is None else Attended(found)

    def _decide(
        self, message: JobMessage, lease: Lease, head: Event, turn: int | None
    ) -> list[Change]:
        after = head.after
        running = after.state is State.RUNNING
        taken = [self._taken_over(head)] if running else []
        if after.cancel_requested:
            return [
                *taken,
                Change(
                    status="Cancelled",
                    worker_id=self._worker_id,
                    message="cancelled before it ran again",
                ),
            ]
        if after.takeovers + running > MAX_TAKEOVERS:
            return [*taken, self._crash_loop(after.takeovers + running)]
        if after.state is State.WAITING:
            again = "the request is sent again: it is not known to have arrived"
            return [Change(status="TakenOver", worker_id=self._worker_id, message=again)]
        if running:
            taken = [self._taken_over(head, continues=True)]
        return [*taken, self._started(message, lease, head, turn)]

    def _taken_over(self, head: Event, *, continues: bool = False) -> Change:
        return Change(
            status="TakenOver",
            worker_id=self._worker_id,
            continues=continues,
            message=f"worker {head.after.worker_id} was lost",
        )

    def _crash_loop(self, lost: int) -> Change:
        message = f"its worker was lost {lost} times in a row"
        error = {"type": "WorkerLost", "message": message, "traceback": ""}
        return Change(
            status="Failed", worker_id=self._worker_id, message=message, data={"error": error}
        )

    def _started(self, message: JobMessage, lease: Lease, head: Event, turn: int | None) -> Change:
        ready = head.after.due_at or head.facts.created_at
        waited = (self._clock.now() - ready) / timedelta(milliseconds=1)
        limit = self._attempt_limit(message.request, message.defaults or self._defaults)
        return Change(
            status="Started",
            worker_id=self._worker_id,
            lock=lease.lock,
            lock_turn=turn,
            max_attempts=limit,
            duration_ms=max(0, round(waited)),
            message=f"attempt {head.after.attempts_used + 1} of {limit}",
        )

    async def _write(
        self, message: JobMessage, lease: Lease, head: Event, turn: int | None
    ) -> ClaimResult | None:
        """Write what the newest event asks for; ``None``: the state has moved, look again."""
        events: list[Event] = []
        for change in self._decide(message, lease, head, turn):
            previous = events[-1] if events else head
            events.append(draft(previous, head.facts, change, occurred_at=self._clock.now()))
        if await self._writer.append(events) is not None:
            return None
        if events[-1].after.state.is_terminal:
            return Ended(events[-1], written=True)
        trail = HeldTrail(
            head=events[-1], writer=self._writer, trail=self._backend.trail, clock=self._clock
        )
        return Claimed(lease, trail, message.request, message.defaults or self._defaults)


def lock_of(request: JobRequest) -> str:
    """Return the lock on which a job rests in scope ``job``."""
    return job_lock(request.job_id) if request.lock_key is None else key_lock(request.lock_key)


def new_lease_id() -> str:
    """Return a fresh lease id; blob leases take a UUID."""
    return str(uuid_utils.uuid4())


def _lies_ahead(due_at: datetime | None, now: datetime) -> bool:
    return due_at is not None and due_at > now


def _due_later(head: Event, now: datetime) -> bool:
    return _lies_ahead(head.after.due_at, now)


def _is_past(head: Event, now: datetime) -> bool:
    return head.after.due_at is not None and head.after.due_at <= now
