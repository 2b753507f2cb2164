"""What may be done with a job in its present state, with the words for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from jobfleet_contracts.event import Event
from jobfleet_contracts.internal_job import GROUP_TYPE
from jobfleet_protocol.actions.erasure import NOT_REACHED
from jobfleet_protocol.reading.job_actions import JobAction, actions_for
from jobfleet_protocol.trail.erased_values import is_withdrawn


@dataclass(frozen=True, slots=True)
class Button:
    """A button.

    Attributes:
        action: the last part of its route.
        question: asked before it is done.
        consequence: what then happens, in one sentence.
        asks_why: the form has a field for the reason; ``needed``: it must not stay empty.
    """

    action: str
    label: str
    question: str
    consequence: str
    danger: bool = False
    asks_why: Literal["", "optional", "needed"] = ""


CANCEL = Button(
    JobAction.CANCEL,
    "Cancel",
    "Cancel this job?",
    "A running handler is asked to stop; a job that no worker runs ends at once.",
    danger=True,
    asks_why="optional",
)
REDRIVE = Button(
    JobAction.REDRIVE,
    "Redrive",
    "Run this job again?",
    "It goes back to its queue as a new incarnation, with all attempts anew.",
)
DISMISS = Button(
    JobAction.DISMISS,
    "Dismiss",
    "Take this job off the dead letters?",
    "It stays failed and its history stays; it can still be redriven later.",
)
ERASE_VERB = "erase"
ERASE = Button(
    ERASE_VERB,
    "Erase",
    "Erase the values of this job?",
    "In an hour its payload, result, errors, messages, checkpoints and log lines go for good, also "
    f"of the jobs made from it. It can never be redriven. Not reached: {'; '.join(NOT_REACHED)}.",
    danger=True,
    asks_why="needed",
)
CANCEL_GROUP = replace(
    CANCEL,
    question="Cancel this group?",
    consequence="Its members are cancelled too; the group ends when they have ended.",
)
BUTTONS: Mapping[JobAction, Button] = {
    JobAction.CANCEL: CANCEL,
    JobAction.REDRIVE: REDRIVE,
    JobAction.DISMISS: DISMISS,
}


def buttons_for(newest: Event) -> tuple[Button, ...]:
    """Return the buttons that the job allows, in the order in which they stand."""
    if not newest.is_readable or is_withdrawn(newest):
        return ()
    offered = tuple(_button(newest, action) for action in actions_for(newest))
    return (*offered, ERASE) if newest.after.state.is_terminal else offered


def _button(newest: Event, action: JobAction) -> Button:
    if action is JobAction.CANCEL and newest.facts.job_type == GROUP_TYPE:
        return CANCEL_GROUP
    return BUTTONS[action]
