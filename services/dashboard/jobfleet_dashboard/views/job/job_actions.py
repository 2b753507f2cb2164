"""What may be done with a job in its present state, with the words for it."""

from __future__ import annotations

from dataclasses import dataclass

from jobfleet_contracts.event import JobState
from jobfleet_protocol.reading.job_actions import JobAction, actions_for


@dataclass(frozen=True, slots=True)
class Button:
    """A button.

    Attributes:
        action: the last part of its route.
        question: asked before it is done.
        consequence: what then happens, in one sentence.
    """

    action: JobAction
    label: str
    question: str
    consequence: str
    danger: bool = False


CANCEL = Button(
    JobAction.CANCEL,
    "Cancel",
    "Cancel this job?",
    "A running handler is asked to stop; a job that nobody runs ends at once.",
    danger=True,
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
BUTTONS = {button.action: button for button in (CANCEL, REDRIVE, DISMISS)}


def buttons_for(after: JobState) -> tuple[Button, ...]:
    """Return the buttons that the state allows, in the order in which they stand."""
    return tuple(BUTTONS[action] for action in actions_for(after))
