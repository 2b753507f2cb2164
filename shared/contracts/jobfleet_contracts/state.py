"""Where a job stands, and the names of the events that move it."""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """Life stage of a job, as the ``State`` column and the ``state`` field hold it."""

    SCHEDULED = "scheduled"
    QUEUED = "queued"
    DEFERRED = "deferred"
    RUNNING = "running"
    WAITING = "waiting"
    RETRYING = "retrying"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TIMED_OUT = "timedOut"

    @property
    def is_terminal(self) -> bool:
        """Whether the job has ended; only a redrive or a dismissal may follow."""
        return self in TERMINAL


TERMINAL = frozenset({State.COMPLETED, State.FAILED, State.CANCELLED, State.TIMED_OUT})
CLAIMABLE = frozenset({State.SCHEDULED, State.QUEUED, State.DEFERRED, State.RETRYING})
DEAD = frozenset({State.FAILED, State.TIMED_OUT})


class Status(StrEnum):
    """Name of an event. ``STEP`` stands for every ``Step N``."""

    QUEUED = "Queued"
    SCHEDULED = "Scheduled"
    DEFERRED = "Deferred"
    STARTED = "Started"
    STEP = "Step"
    WAITING = "Waiting"
    SEALED = "Sealed"
    ATTEMPT_FAILED = "AttemptFailed"
    RETRY_SCHEDULED = "RetryScheduled"
    TAKEN_OVER = "TakenOver"
    CANCEL_REQUESTED = "CancelRequested"
    COMPLETED = "Completed"
    FAILED = "Failed"
    CANCELLED = "Cancelled"
    TIMED_OUT = "TimedOut"
    REDRIVEN = "Redriven"
    DISMISSED = "Dismissed"
    ERASED = "Erased"

    @classmethod
    def of(cls, name: str) -> Status:
        """Return the kind of a stored status name; ``Step 7`` is ``STEP``.

        Raises:
            ValueError: the name is none of the protocol's.
        """
        return _KINDS.get(name) or (cls.STEP if name.startswith("Step ") else cls(name))


def step_of(name: str) -> int | None:
    """Return the number in a stored status name ``Step N``; ``None`` for any other name."""
    number = name.removeprefix("Step ")
    return int(number) if number != name and number.isdecimal() else None


def status_name(kind: Status, step: int | None) -> str:
    """Return the stored name: ``Started``, or ``Step 3``."""
    return kind.value if step is None else f"{kind.value} {step}"


STEP = Status.STEP.value
"""In a filter it stands for every ``Step N``."""
FAILURES = frozenset({Status.ATTEMPT_FAILED, Status.FAILED, Status.TIMED_OUT})
"""Events whose message says what went wrong."""

_KINDS = {status.value: status for status in Status}
