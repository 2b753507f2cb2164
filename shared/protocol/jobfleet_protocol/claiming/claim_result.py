"""What comes of a claim, and what the taker of the message does then."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from jobfleet_contracts.event import Event
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.lease import Lease
from jobfleet_contracts.message import JobDefaults
from jobfleet_protocol.trail.held_trail import HeldTrail


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
class Unsent:
    """A waiting job whose request has not verifiably left: to be claimed under its own lock."""

    head: Event


@dataclass(frozen=True, slots=True)
class NoRequest:
    """The message is no job request, and no trail says otherwise: it is to be kept apart."""

    reason: str


@dataclass(frozen=True, slots=True)
class ForNewer:
    """The stored request has fields that this worker does not know: leave it to a newer one."""

    head: Event
    fields: tuple[str, ...]


ClaimResult = Claimed | Ended | NotDue | Busy | Attended | NoRequest | ForNewer
