"""Deliberate bugs in what becomes of a job whose worker was lost."""

from __future__ import annotations

from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any
from unittest.mock import patch

from devtools.evidence.bug_class import BugClass
from jobfleet_contracts.event import MAX_TAKEOVERS, Event, JobFacts
from jobfleet_contracts.job import JobRequest
from jobfleet_protocol.claiming import lock_turns
from jobfleet_protocol.trail import transitions
from jobfleet_protocol.trail.transitions import Change
from jobfleet_worker.run.start_terms import HandlerTerms
from tests.simulation.emphases import MANY_FAULTS
from tests.simulation.known import Known


def a_lone_takeover() -> AbstractContextManager[Any]:
    """Who fences a lost job puts it back into its queue, and the loss is forgotten."""
    taken_over, drafted = transitions._taken_over, transitions.draft

    def forgotten(previous: Event, change: Change, occurred_at: datetime) -> dict[str, Any]:
        kept = {"takeovers": previous.after.takeovers}
        return taken_over(previous, change, occurred_at) | kept

    def draft(previous: Event, facts: JobFacts, change: Change, *, occurred_at: datetime) -> Event:
        with patch.object(transitions, "_taken_over", forgotten):
            return drafted(previous, facts, change, occurred_at=occurred_at)

    return patch.object(lock_turns, "draft", draft)


def a_claim_without_the_limit() -> AbstractContextManager[Any]:
    """The claiming worker does not write into Started that the job must not run twice."""

    def always(_self: HandlerTerms, _request: JobRequest) -> int:
        return MAX_TAKEOVERS

    return patch.object(HandlerTerms, "takeovers", always)


_ONCE = MANY_FAULTS | {"once": 1.0, "stall_rate": 0.02, "lock_keys": 1}
OF_LOSSES = (
    Known(
        "a lone takeover",
        a_lone_takeover,
        29,
        _ONCE,
        breaks=BugClass.LOST_WORKERS,
        shows="may not start again",
    ),
    Known(
        "a claim without the job's limit of lost workers",
        a_claim_without_the_limit,
        2,
        _ONCE,
        breaks=BugClass.LOST_WORKERS,
        shows="may not start again",
    ),
)
"""Jobs that run twice though they must not."""
