"""Deliberate bugs in how a job is taken from a worker that is thought to be lost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

from devtools.evidence.bug_class import BugClass
from jobfleet_contracts.event import Event
from jobfleet_contracts.state import TERMINAL, State, Status
from jobfleet_protocol.claiming import trail_claim
from jobfleet_protocol.claiming.trail_claim import TrailClaim
from jobfleet_protocol.trail import transitions
from jobfleet_protocol.trail.transitions import Change
from tests.simulation.emphases import MANY_FAULTS, NOTHING_ELSE
from tests.simulation.known import Known


@contextmanager
def taken_over_by_an_old_look() -> Iterator[None]:
    """A takeover was refused, so it is written behind whatever came first: the job's end too."""
    may_follow: Mapping[Status, frozenset[State]] = {
        **transitions._FROM,
        Status.TAKEN_OVER: transitions._FROM[Status.TAKEN_OVER] | TERMINAL,
        Status.STARTED: transitions._FROM[Status.STARTED] | TERMINAL,
    }
    append = TrailClaim._append

    async def stubborn(self: TrailClaim, head: Event, changes: Sequence[Change]) -> Event | None:
        written = await append(self, head, changes)
        if written is not None or changes[0].kind is not Status.TAKEN_OVER:
            return written
        newest = await self._parts.trail.newest(head.job_id)
        return None if newest is None else await append(self, newest, changes)

    def drafted(*given: Any, **named: Any) -> Event:
        with patch.object(transitions, "_FROM", may_follow):  # the judgement goes by the right one
            return transitions.draft(*given, **named)

    with ExitStack() as stack:
        stack.enter_context(patch.object(trail_claim, "draft", drafted))
        stack.enter_context(patch.object(TrailClaim, "_append", stubborn))
        yield


OF_RESCUES = (
    Known(
        "a takeover by an old look, written behind the job's end",
        taken_over_by_an_old_look,
        79,
        MANY_FAULTS
        | NOTHING_ELSE
        | {
            "fault_rate": 0.15,
            "jobs": 12,
            "stall_rate": 0.05,
            "lease_seconds": 15,
            "fleet_scope": False,
        },
        breaks=BugClass.ONE_OUTCOME,
        shows="after the job ended",
    ),
)
"""Jobs taken from a worker that is thought to be lost."""
