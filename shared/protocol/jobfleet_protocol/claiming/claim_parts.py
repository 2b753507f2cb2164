"""What the parts of a claim share: ports, the worker's rules for jobs, the fleet's controls."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta

from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.job_claims import JobClaims
from jobfleet_contracts.message import JobDefaults, JobMessage
from jobfleet_contracts.ports import (
    AuditTrail,
    Clock,
    JobIndex,
    LeaseStore,
    LockRecords,
    PayloadStore,
)
from jobfleet_contracts.value_coder import NO_CODER, ValueCoder
from jobfleet_protocol.actions.publication import Publication
from jobfleet_protocol.claiming.claim_result import Unclear
from jobfleet_protocol.claiming.lock_leases import LastingLease
from jobfleet_protocol.claiming.lock_slots import NO_LOCK_SLOTS, TakenLockSlots
from jobfleet_protocol.claiming.rate_limiter import RateLimiter
from jobfleet_protocol.claiming.start_terms import NO_TERMS, ReadLimits, StartTerms, TermsOf
from jobfleet_protocol.claiming.trail_opening import KeysOf
from jobfleet_protocol.control.fleet_seal import FleetSeal
from jobfleet_protocol.control.pause_state import FleetPauses
from jobfleet_protocol.trail.trail_writer import TrailWriter

AttemptLimit = Callable[[JobRequest, JobDefaults], int]
TakeoverLimit = Callable[[JobRequest], int]
ReadPauses = Callable[[], Awaitable[FleetPauses]]

FRESH = timedelta(days=1)
"""Up to this age a first message needs no read before the claim."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRules:
    """What one worker's settings and handlers say of the jobs that it claims.

    Attributes:
        defaults: apply where neither request nor message says.
        attempt_limit: how many attempts a job has, by its request, handler and defaults.
        takeover_limit: how many lost workers in a row a job survives.
        terms: what the start of a job needs beside its lock.
        keys: by which a job will be looked up, where its first event may lack them.
        fresh: age of a message up to which a first claim needs no read.
    """

    defaults: JobDefaults
    attempt_limit: AttemptLimit
    takeover_limit: TakeoverLimit
    terms: TermsOf
    keys: KeysOf = lambda _: {}
    fresh: timedelta = FRESH


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetControls:
    """What holds back the start of a job in the whole fleet.

    Attributes:
        pauses: the pauses in force; waits until they are known.
        limits: the named limits as they stand; waits until they are known.
        rates: reserves the starts that count against a rate.
        seal: whether the fleet is sealed.
    """

    pauses: ReadPauses
    limits: ReadLimits
    rates: RateLimiter
    seal: FleetSeal


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimParts:
    """What one worker claims with.

    Attributes:
        give_back: sees to a claim that was given up after it was sent.
        coder: encodes what a foreign message says, before it becomes event 1.
        claims: leases a job's lock and inserts ``Started`` in one transaction; ``None``: in two
            steps.
    """

    trail: AuditTrail
    leases: LeaseStore
    locks: LockRecords
    index: JobIndex
    payloads: PayloadStore
    writer: TrailWriter
    publication: Publication
    clock: Clock
    worker_id: str
    lease_seconds: float
    rules: JobRules
    controls: FleetControls
    give_back: Callable[[Unclear], object]
    coder: ValueCoder = NO_CODER
    claims: JobClaims | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimTry:
    """One try to make a message's job this worker's own.

    Attributes:
        lease_id: chosen once per claim and kept over its retries.
        lasting: the lease that the claim rests on, where the worker holds it already.
        terms: what the start needs beside the lock.
        taken: lock slots that were taken for it, beside its lock.
        is_alone: this worker runs nothing else, and starts nothing before the claim has ended.
        resend_only: a waiting job's request may be sent again, and nothing may run.
    """

    message: JobMessage
    lease_id: str
    lasting: LastingLease | None = None
    terms: StartTerms = NO_TERMS
    taken: TakenLockSlots = NO_LOCK_SLOTS
    is_alone: bool = False
    resend_only: bool = False
