"""The result of a claim: the job is claimed, or what is to be done about its message."""

from __future__ import annotations

from dataclasses import dataclass

from jobfleet_contracts.event import Event
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.lease import Lease
from jobfleet_contracts.message import JobDefaults
from jobfleet_protocol.claiming.acceptance import ForNewer, NoRequest
from jobfleet_protocol.claiming.decision import (
    Attended,
    Busy,
    End,
    LimitFull,
    Paused,
    RateFull,
    Suspect,
    Wait,
)
from jobfleet_protocol.claiming.rate_slots import Admission
from jobfleet_protocol.claiming.start_terms import NO_TERMS, StartTerms
from jobfleet_protocol.trail.held_trail import HeldTrail


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
    """A claim on top of ``head`` that may be in the trail already, or may still land there.

    Attributes:
        why: the claim is given up, as ``Deferred`` tells it.
    """

    head: Event
    lock: str
    why: str = "an error of the worker's own ended the claim"


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
