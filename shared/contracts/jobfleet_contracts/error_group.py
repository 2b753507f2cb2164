"""Failures grouped by what failed where: job type, exception class and place in the code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256
from typing import Any

from jobfleet_contracts.codec import encodable, format_time
from jobfleet_contracts.credentials import masked_text
from jobfleet_contracts.event import Event
from jobfleet_contracts.state import State, Status

MOST_GROUPS = 200
"""Groups that one writer counts apart in one hour; what comes beyond counts as ``OTHER``."""
NO_HANDLER = "NoHandler"
"""Error class of a job whose type no worker has. A submitter can invent types."""
MAX_SAMPLE_CHARACTERS = 500
"""Limit of the message that stands for a group."""

_FAILURES = frozenset({Status.FAILED, Status.TIMED_OUT, Status.ATTEMPT_FAILED})


@dataclass(frozen=True, slots=True, order=True)
class ErrorKey:
    """What the failures of a group have in common.

    Attributes:
        job_type: empty where the group holds jobs of any type.
        error: name of the exception's class; empty where the event does not tell it.
        place: module and function of the innermost frame of the user's code; empty for failures
            without a traceback.
    """

    job_type: str
    error: str
    place: str

    @property
    def group_id(self) -> str:
        """Sixteen hex digits, the same wherever the group is counted."""
        text = f"{self.job_type}\n{self.error}\n{self.place}"
        return sha256(text.encode()).hexdigest()[:16]


OTHER = ErrorKey("", "", "")
"""Stands for all groups beyond ``MOST_GROUPS``."""


@dataclass(frozen=True, slots=True)
class FailureCount:
    """Failures of one step of time: jobs that ended so, and attempts that were retried."""

    jobs: int = 0
    retried: int = 0

    def __add__(self, other: FailureCount) -> FailureCount:
        """Add up."""
        return FailureCount(self.jobs + other.jobs, self.retried + other.retried)


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorGroup:
    """What is known of a group within a span of time.

    Attributes:
        message, job_id: those of its last failure.
        steps: counts by the beginning of their minute or hour.
    """

    key: ErrorKey
    first_at: datetime
    last_at: datetime
    message: str
    job_id: str
    steps: Mapping[datetime, FailureCount]

    @property
    def total(self) -> FailureCount:
        """Failures of the whole span."""
        return sum(self.steps.values(), FailureCount())

    def to_json(self) -> dict[str, Any]:
        """Return the group as REST API and command line show it."""
        total = self.total
        return {
            "groupId": self.key.group_id,
            "type": self.key.job_type,
            "error": self.key.error,
            "place": self.key.place,
            "message": masked_text(self.message),
            "lastJobId": self.job_id,
            "firstAt": format_time(self.first_at),
            "lastAt": format_time(self.last_at),
            "jobs": total.jobs,
            "retried": total.retried,
            "steps": [
                {"start": format_time(start), "jobs": one.jobs, "retried": one.retried}
                for start, one in sorted(self.steps.items())
            ],
        }


@dataclass(frozen=True, slots=True)
class ErrorSummary:
    """Groups with most failures first; ``OTHER`` comes last.

    Attributes:
        counted_back_to: where a bounded look has stopped; ``None`` if it saw the whole span.
    """

    groups: Sequence[ErrorGroup]
    counted_back_to: datetime | None = None


def error_key_of(event: Event) -> ErrorKey | None:
    """Return the group of a failure, ``None`` for events that tell of none."""
    if not event.is_readable or event.kind not in _FAILURES or "tombstone" in event.data:
        return None
    error = event.data.get("error")
    known = error if isinstance(error, Mapping) else {}
    name, place = _text(known.get("type")), _text(known.get("place"))
    # One group whatever the type. Otherwise jobs of invented types would fill the hour's groups,
    # and hide the failures of real ones.
    job_type = "" if name == NO_HANDLER and not place else event.facts.job_type
    return ErrorKey(job_type, name, place)


def dead_group_of(event: Event) -> str | None:
    """Return the id of the group in which a job stands that ended with this event."""
    key = error_key_of(event)
    return None if key is None or not event.after.state.is_terminal else key.group_id


def count_of(event: Event) -> FailureCount:
    """Return what one failure adds to its group."""
    ended = event.after.state in (State.FAILED, State.TIMED_OUT)
    return FailureCount(jobs=1) if ended else FailureCount(retried=1)


def merged(groups: Sequence[ErrorGroup]) -> list[ErrorGroup]:
    """Add up what several writers or steps tell of the same groups; most failures first."""
    found: dict[ErrorKey, ErrorGroup] = {}
    for group in groups:
        known = found.get(group.key)
        found[group.key] = group if known is None else _sum(known, group)
    return sorted(found.values(), key=_rank)


def shortened(groups: Sequence[ErrorGroup], most: int) -> list[ErrorGroup]:
    """Return the first groups as they are; what is beyond counts as ``OTHER``, which comes last."""
    apart = [group for group in groups if group.key != OTHER]
    rest = [group for group in groups if group.key == OTHER] + apart[most:]
    return apart[:most] + merged([replace(group, key=OTHER) for group in rest])


def _rank(group: ErrorGroup) -> tuple[bool, int, int, ErrorKey]:
    total = group.total
    return group.key == OTHER, -total.jobs, -total.retried, group.key


def _sum(one: ErrorGroup, other: ErrorGroup) -> ErrorGroup:
    steps = dict(one.steps)
    for start, count in other.steps.items():
        steps[start] = steps.get(start, FailureCount()) + count
    newer = max(one, other, key=lambda group: group.last_at)
    return ErrorGroup(
        key=one.key,
        first_at=min(one.first_at, other.first_at),
        last_at=newer.last_at,
        message=newer.message,
        job_id=newer.job_id,
        steps=steps,
    )


def _text(value: Any) -> str:
    return encodable(value) if isinstance(value, str) else ""
