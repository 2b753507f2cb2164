"""The event of a job that a rate lets start later, and the start that is reserved for it; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from jobfleet_contracts.codec import format_time, parse_time
from jobfleet_contracts.event import Event
from jobfleet_contracts.lookup_keys import lost_by
from jobfleet_contracts.state import State, Status
from jobfleet_protocol.claiming.claim_result import RateFull
from jobfleet_protocol.claiming.decision import Start
from jobfleet_protocol.claiming.rate_limiter import RATE, Admission, Crowded
from jobfleet_protocol.trail.transitions import Change


@dataclass(frozen=True, slots=True)
class Postpone:
    """Append ``changes``, which say that the job waits for a rate.

    Attributes:
        crowded: as in :class:`RateFull`.
    """

    head: Event
    changes: Sequence[Change]
    crowded: Crowded | None


def reserved_starts(head: Event) -> Mapping[str, datetime]:
    """Return the moments that a deferral has reserved for the job's next start, by rate's key."""
    if head.kind is not Status.DEFERRED or head.data.get("reason") != RATE:
        return {}
    return {key: parse_time(start) for key, start in head.data.get("slots", {}).items()}


def delayed_by_rate(
    start: Start, worker_id: str, found: Admission | Crowded, now: datetime
) -> Postpone | RateFull:
    """Return what becomes of a job whose reserved start lies ahead, or that found none.

    The job says once that it waits for a rate, and again with each start that is reserved for it.
    """
    head = start.head
    crowded = found if isinstance(found, Crowded) else None
    waits = head.kind is Status.DEFERRED and head.data.get("reason") == RATE
    if waits and reserved_starts(head) == (found.starts if isinstance(found, Admission) else {}):
        return RateFull(head, crowded)
    running = head.after.state is State.RUNNING
    taken = Change(
        kind=Status.TAKEN_OVER,
        worker_id=worker_id,
        message=f"worker {head.after.worker_id} was lost",
        data=lost_by(head.after.worker_id),
    )
    deferred = Change(
        kind=Status.DEFERRED,
        worker_id=worker_id,
        due_at=now if isinstance(found, Crowded) else found.at,
        message=_rate_text(found),
        data=_rate_data(found),
    )
    return Postpone(head, [taken, deferred] if running else [deferred], crowded)


def crowded_text(found: Crowded) -> str:
    """Return what the event of a job says that found no start."""
    return f"waits for rate {found.demand.name} ({found.demand.rate})"


def crowded_data(found: Crowded) -> dict[str, Any]:
    """Return the data of that event."""
    return {"reason": RATE, "rate": found.demand.name, "slot": None, "slots": {}}


def _rate_text(found: Admission | Crowded) -> str:
    if isinstance(found, Crowded):
        return crowded_text(found)
    return f"waits for rate {found.name}, slot {found.at:%H:%M:%S}"


def _rate_data(found: Admission | Crowded) -> dict[str, Any]:
    if isinstance(found, Crowded):
        return crowded_data(found)
    starts = {key: format_time(start) for key, start in found.starts.items()}
    return {"reason": RATE, "rate": found.name, "slot": format_time(found.at), "slots": starts}


def started_data(admission: Admission) -> dict[str, Any]:
    """Return what ``Started`` says of the start that was reserved for it."""
    return {"rate": admission.name, "slot": format_time(admission.at)}
