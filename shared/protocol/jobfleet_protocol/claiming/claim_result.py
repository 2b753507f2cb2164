"""The result of a claim: the job is claimed, or what is to be done about its message."""

from __future__ import annotations

from dataclasses import dataclass

from jobfleet_contracts.event import Event
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.lease import Lease
from jobfleet_contracts.message import JobDefaults
from jobfleet_protocol.claiming.acceptance import ForNewer, NoRequest
from jobfleet_protocol.claiming.decision import Attended, Busy, Ended, Paused, Suspect, Wait
from jobfleet_protocol.claiming.lock_slots import LockSlotDemand
from jobfleet_protocol.claiming.rate_limiter import Admission, Crowded
from jobfleet_protocol.claiming.start_terms import NO_TERMS, StartTerms
from jobfleet_protocol.trail.held_trail import HeldTrail


@dataclass(frozen=True, slots=True)
class Claimed:
    """The job is this worker's to run; ``trail.head`` is its ``Started``, or the ``TakenOver``
    of a waiting job whose request is to be sent again.

    Attributes:
        terms: what the start needed beside the lock.
        admission: the start that was reserved for it, if it counts against a rate.
        slot_leases: leases of the lock slots that the claim holds beside its lock.
    """

    lease: Lease
    trail: HeldTrail
    request: JobRequest
    defaults: JobDefaults
    terms: StartTerms = NO_TERMS
    admission: Admission | None = None
    slot_leases: tuple[Lease, ...] = ()


@dataclass(frozen=True, slots=True)
class Unclear:
    """A claim on top of ``head`` that may be in the trail already, or may still land there.

    Attributes:
        why: the claim is given up, as ``Deferred`` tells it.
    """

    head: Event
    lock: str
    why: str = "an error of the worker's own ended the claim"


@dataclass(frozen=True, slots=True)
class RateFull:
    """A rate lets the job start later only.

    Attributes:
        head: the job's newest event, which says so.
        crowded: the rate without a start within reach; ``None``: a start is reserved, and
            ``head`` names it.
    """

    head: Event
    crowded: Crowded | None


@dataclass(frozen=True, slots=True)
class LimitFull:
    """A limit or a lock key has no free lock slot for the job: try later.

    Attributes:
        head: the job's newest event; ``None``: the job has none yet.
    """

    head: Event | None
    demand: LockSlotDemand


@dataclass(frozen=True, slots=True)
class OtherLock:
    """The lock at hand does not serve, and nothing was written: claim the job under ``lock``.

    It is not a result of a claim: the :class:`Claimer` takes that lock and tries again.

    Attributes:
        resends: ``lock`` is a waiting job's own. Under it the request is sent again, and nothing
            else. Otherwise ``lock`` is the lock slot in which the job ran.
    """

    head: Event
    lock: str
    resends: bool


ClaimResult = (
    Claimed
    | Ended
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
"""What :meth:`Claimer.claim` returns; a ``match`` on it must handle each of these."""
