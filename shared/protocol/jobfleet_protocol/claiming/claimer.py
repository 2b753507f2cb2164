"""Claim: lease, look, and write ``Started``; whoever inserts it first runs the job.

The lease says who may try, the trail decides. Trust in the lease is checked after the newest row
was read and never before, so that a sleeper cannot take over a live holder. Before ``Started``
is sent nothing may be done on the strength of the lease alone.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from jobfleet_contracts.backend import Backend
from jobfleet_contracts.errors import DataMissing, LeaseConflict, TrustEnded
from jobfleet_contracts.event import Event
from jobfleet_contracts.internal_job import INTERNAL_TYPES
from jobfleet_contracts.job import unknown_fields
from jobfleet_contracts.lease import Lease, job_lock
from jobfleet_contracts.message import JobDefaults, JobMessage
from jobfleet_contracts.ports import Clock
from jobfleet_contracts.state import State
from jobfleet_protocol.actions.publication import Publication
from jobfleet_protocol.actions.submission import defaults_of, request_of, unknown_fields_of
from jobfleet_protocol.claiming.claim_decision import AttemptLimit, ClaimDecision
from jobfleet_protocol.claiming.claim_obstacles import ClaimObstacles
from jobfleet_protocol.claiming.claim_result import (
    Attended,
    Claimed,
    ClaimResult,
    Ended,
    ForNewer,
    NoRequest,
    Unsent,
)
from jobfleet_protocol.claiming.lock_leases import LockLeases, lock_of
from jobfleet_protocol.claiming.lock_turns import LockTurns, TurnView
from jobfleet_protocol.claiming.trail_opening import TrailOpening
from jobfleet_protocol.trail.held_trail import HeldTrail
from jobfleet_protocol.trail.large_data import resolve
from jobfleet_protocol.trail.tombstone import is_tombstone
from jobfleet_protocol.trail.trail_writer import TrailWriter
from jobfleet_protocol.trail.transitions import draft

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
        self._trail = backend.trail
        self._payloads = backend.payloads
        self._writer = writer
        self._clock = clock
        self._defaults = defaults
        self.leases = LockLeases(
            leases=backend.leases, clock=clock, worker_id=worker_id, lease_seconds=lease_seconds
        )
        self.turns = LockTurns(
            backend=backend,
            writer=writer,
            publication=Publication(backend=backend, clock=clock),
            clock=clock,
            worker_id=worker_id,
        )
        self._opening = TrailOpening(
            backend=backend, writer=writer, clock=clock, defaults=defaults, fresh=fresh
        )
        self._obstacles = ClaimObstacles(leases=backend.leases, writer=writer, clock=clock)
        self._decision = ClaimDecision(
            clock=clock, worker_id=worker_id, defaults=defaults, attempt_limit=attempt_limit
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
        if message.needs_trail:
            accepted = await self._as_accepted(message)
            if not isinstance(accepted, JobMessage):
                return accepted
            message = accepted
        if fleet is not None:
            result = await self._under(message, fleet)
        else:
            result = await self._under_its_lock(message, lease_id)
        if isinstance(result, Unsent):
            return await self._resend(message, lease_id, result.head)
        return result

    async def _as_accepted(self, message: JobMessage) -> JobMessage | ClaimResult:
        """Use the stored request instead of the message's, if the job already exists.

        Headers authenticate nothing. So a message with an internal type or id starts only what
        event 1 says, and nothing where there is no event 1.
        """
        opening = await self._trail.read(message.request.job_id, 1)
        if opening is None:
            return NoRequest(_flaw(message)) if message.needs_opening else message
        if is_tombstone(opening):
            return Ended(opening, written=False)
        try:
            first = await resolve(opening, self._payloads)
        except DataMissing as error:
            if message.needs_opening:
                return NoRequest(str(error))
            return message  # it may be the only copy that is left
        if unknown := unknown_fields_of(first):
            return await self._for_newer(opening, unknown)
        return replace(
            message,
            request=request_of(first),
            defaults=defaults_of(first),
            unknown_fields=(),
            opening_hash=opening.hash,  # what the message says of it proves nothing
        )

    async def _for_newer(self, opening: Event, unknown: tuple[str, ...]) -> ClaimResult:
        head = await self._trail.newest(opening.job_id) or opening
        if head.after.state.is_terminal:
            return Ended(head, written=False)
        return ForNewer(head, unknown)

    async def _under_its_lock(self, message: JobMessage, lease_id: str) -> ClaimResult | Unsent:
        lock = lock_of(message.request)
        try:
            lease = await self.leases.acquire(
                lock, lease_id, is_new=message.request.lock_key is None
            )
        except LeaseConflict:
            return await self._meanwhile(message, lock)
        result = await self._under(message, lease)
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
        result = await self._under(message, lease, resend=True)
        if isinstance(result, Claimed):
            return result
        await self.leases.let_go(lease, message.request)
        return Attended(result.head) if isinstance(result, Unsent) else result

    async def _meanwhile(self, message: JobMessage, lock: str) -> ClaimResult | Unsent:
        head = await self._trail.newest(message.request.job_id)
        if head is None and message.request.lock_key is not None:
            head = await self._opening.write(message)
        return await self._obstacles.beside_a_holder(message, head, lock)

    async def _under(
        self, message: JobMessage, lease: Lease, *, resend: bool = False
    ) -> ClaimResult | Unsent:
        shared = lease.lock != job_lock(message.request.job_id)
        must_read = shared or resend or not self._opening.is_certain(message)
        while True:
            view = await self._look(message, lease, shared=shared, must_read=must_read)
            must_read = True
            if view.own is None:
                if await self._opening.write(message) is None:
                    raise LeaseConflict(f"job {message.request.job_id} was begun by somebody else")
                continue
            idle = await self._obstacles.under_the_lease(message, view.own, lease)
            if idle is not None:
                return idle
            if resend and view.own.after.state is not State.WAITING:
                return Attended(view.own)
            if not self.leases.trusts(lease):
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
            return TurnView(None, None, await self._trail.newest(message.request.job_id))
        return TurnView(None, None, self._opening.assumed(message))

    async def _write(
        self, message: JobMessage, lease: Lease, head: Event, turn: int | None
    ) -> ClaimResult | None:
        """Write what the newest event asks for; ``None``: the state has moved, look again."""
        events: list[Event] = []
        for change in self._decision.changes(message, lease, head, turn):
            previous = events[-1] if events else head
            events.append(draft(previous, head.facts, change, occurred_at=self._clock.now()))
        if await self._writer.append(events) is not None:
            return None
        if events[-1].after.state.is_terminal:
            return Ended(events[-1], written=True)
        trail = HeldTrail(
            head=events[-1], writer=self._writer, trail=self._trail, clock=self._clock
        )
        return Claimed(lease, trail, message.request, message.defaults or self._defaults)


def _flaw(message: JobMessage) -> str:
    """Return why a message without a trail is no job request."""
    if message.unknown_fields:
        return str(unknown_fields(message.unknown_fields))
    if message.request.type in INTERNAL_TYPES:
        return f"type: {message.request.type} jobs are made by jobfleet alone"
    return "jobId: UUIDs of version 8 are for jobs that jobfleet makes"
