"""A waiting job whose request did not verifiably leave: it stays, and is sent again later."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import Any

from jobfleet_contracts.event import Event
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.message import JobDefaults
from jobfleet_contracts.outcome import (
    AttemptFailed,
    AttemptTimedOut,
    Deferred,
    HandedBack,
    Outcome,
)
from jobfleet_contracts.state import State, Status
from jobfleet_contracts.value_coder import NO_CODER, ValueCoder
from jobfleet_protocol.trail.transitions import Change
from jobfleet_worker.run.kept_details import data_of, shortened

LONGEST_PAUSE = timedelta(minutes=5)


def stays_waiting(outcome: Outcome, head: Event) -> bool:
    """Whether this outcome of sending leaves the job waiting, unsent."""
    if head.after.state is not State.WAITING:
        return False
    match outcome:
        case AttemptFailed(final=final):
            return not final
        case AttemptTimedOut() | Deferred() | HandedBack():
            return True
        case _:
            return False


def not_sent(
    outcome: Outcome,
    head: Event,
    coder: ValueCoder = NO_CODER,
    *,
    shown: dict[str, Any] | None = None,
) -> Change:
    """Return the step that tells why the request was not sent, or is not known to have been.

    What the third party or the handler said is encoded. ``shown`` is it masked, if it is long.
    """
    data: dict[str, Any] = {}
    match outcome:
        case AttemptFailed(error):
            reason, data = coder.message(error.message), data_of(outcome)
        case AttemptTimedOut(limit):
            reason = f"no answer within {limit:g} s"
        case Deferred(reason=why):
            reason = coder.message(why)
        case HandedBack(reason=why):
            reason = why
        case _:
            reason = "interrupted"
    return Change(
        kind=Status.STEP,
        step=1,
        worker_id=head.after.worker_id,
        message=f"not sent: {reason}",
        data={"step": 1, **coder.details(shortened(data, sequence=head.sequence, shown=shown))},
    )


def send_again_at(
    outcome: Outcome,
    head: Event,
    *,
    request: JobRequest,
    defaults: JobDefaults,
    limit_seconds: float,
    now: datetime,
) -> datetime | None:
    """Return when to try again, never after the deadline; ``None``: at once.

    Without a wish of the target or the circuit the pause grows with the time that the job has
    waited already, up to five minutes: exponential back-off that needs no counter.
    """
    match outcome:
        case HandedBack():
            return None
        case Deferred(delay):
            pause = delay
        case AttemptFailed(retry_after=wish) if wish is not None:
            pause = wish
        case _:
            pause = _pause(head, request, defaults, limit_seconds, now)
    deadline = head.after.due_at
    return now + pause if deadline is None else min(now + pause, deadline)


def _pause(
    head: Event, request: JobRequest, defaults: JobDefaults, limit_seconds: float, now: datetime
) -> timedelta:
    base = request.retry_delay_seconds
    if base is None:
        base = defaults.retry_delay_seconds
    waited = 0.0
    if head.after.due_at is not None:
        waited = limit_seconds - (head.after.due_at - now).total_seconds()
    pause = timedelta(seconds=max(base, waited, 0.1) * random.uniform(0.5, 1))
    return min(pause, LONGEST_PAUSE)
