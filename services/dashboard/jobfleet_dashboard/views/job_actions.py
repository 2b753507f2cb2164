"""What may be done with a job in its present state, with the words for it."""

from __future__ import annotations

from dataclasses import dataclass

from jobfleet_contracts.event import JobState
from jobfleet_contracts.state import DEAD
from jobfleet_protocol.trail.transitions import REDRIVABLE


@dataclass(frozen=True, slots=True)
class JobAction:
    """A button.

    Attributes:
        verb: ``cancel``, ``redrive`` or ``dismiss``: the last part of its route.
        question: asked before it is done.
        consequence: what then happens, in one sentence.
    """

    verb: str
    label: str
    question: str
    consequence: str
    danger: bool = False


CANCEL = JobAction(
    "cancel",
    "Cancel",
    "Cancel this job?",
    "A running handler is asked to stop; a job that nobody runs ends at once.",
    danger=True,
)
REDRIVE = JobAction(
    "redrive",
    "Redrive",
    "Run this job again?",
    "It goes back to its queue as a new incarnation, with all attempts anew.",
)
DISMISS = JobAction(
    "dismiss",
    "Dismiss",
    "Take this job off the dead letters?",
    "It stays failed and its history stays; it can still be redriven later.",
)
ACTIONS = {action.verb: action for action in (CANCEL, REDRIVE, DISMISS)}


def actions_for(after: JobState) -> tuple[JobAction, ...]:
    """Return the buttons that the state allows, in the order in which they stand."""
    if not after.state.is_terminal:
        return () if after.cancel_requested else (CANCEL,)
    allowed: tuple[JobAction, ...] = ()
    if after.state in REDRIVABLE:
        allowed += (REDRIVE,)
    if after.state in DEAD and not after.dismissed:
        allowed += (DISMISS,)
    return allowed
