"""What may be done with a job, decided once for API, pages and command line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from enum import StrEnum

from jobfleet_contracts.event import Event, JobState
from jobfleet_contracts.index import JobQuery
from jobfleet_contracts.internal_job import GROUP_TYPE
from jobfleet_contracts.state import DEAD, State
from jobfleet_protocol.trail.transitions import REDRIVABLE


class JobAction(StrEnum):
    """What can be done to a job; the last part of its route and the name of its command."""

    CANCEL = "cancel"
    REDRIVE = "redrive"
    DISMISS = "dismiss"


ALLOWED: Mapping[JobAction, frozenset[State]] = {
    JobAction.CANCEL: frozenset(state for state in State if not state.is_terminal),
    JobAction.REDRIVE: REDRIVABLE,
    JobAction.DISMISS: DEAD,
}
"""The states in which a job allows each action."""


def actions_for(newest: Event) -> tuple[JobAction, ...]:
    """Return what a job with this newest event allows, in the order in which it is offered.

    A group is not redriven: its members are.
    """
    is_group = newest.facts.job_type == GROUP_TYPE
    offered = (action for action in JobAction if _is_offered(action, newest.after))
    return tuple(one for one in offered if not (is_group and one is JobAction.REDRIVE))


def narrowed(query: JobQuery, action: JobAction) -> JobQuery | None:
    """Return the question for the jobs of a filter that allow the action; ``None`` for none.

    To dismiss is asked of jobs that still stand on the dead-letter list.
    """
    states = (query.states or ALLOWED[action]) & ALLOWED[action]
    if not states:
        return None
    return replace(query, states=states, dead=query.dead or action is JobAction.DISMISS)


def _is_offered(action: JobAction, after: JobState) -> bool:
    if after.state not in ALLOWED[action]:
        return False
    match action:
        case JobAction.CANCEL:
            return not after.cancel_requested
        case JobAction.REDRIVE:
            return True
        case JobAction.DISMISS:
            return not after.dismissed
