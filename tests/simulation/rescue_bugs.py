"""Deliberate bugs in how a job is taken from a worker that is thought to be lost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from devtools.evidence.bug_class import BugClass
from jobfleet_contracts.codec import encode
from jobfleet_contracts.event import Event
from jobfleet_contracts.state import TERMINAL, State, Status
from jobfleet_protocol.claiming import trail_claim
from jobfleet_protocol.claiming.trail_claim import TrailClaim
from jobfleet_protocol.trail import large_data, transitions
from jobfleet_protocol.trail.transitions import Change
from tests.simulation.emphases import MANY_FAULTS, MANY_LATE, NOTHING_ELSE
from tests.simulation.fake_stores import FakePayloadStore
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


@contextmanager
def result_stored_over_the_winners() -> Iterator[None]:
    """The name of a stored result holds no epoch and no event: the last writer's value stands."""
    split = large_data.split

    def under_one_name(
        event: Event, *, inline_bytes: int
    ) -> tuple[Event, tuple[str, bytes] | None]:
        if event.kind is not Status.COMPLETED or event.data.keys() != {"result"}:
            return split(event, inline_bytes=inline_bytes)
        name, body = f"{event.job_id}/result", encode(event.data)
        return replace(event, data={"blob": name, "size": len(body)}), (name, body)

    async def put(self: FakePayloadStore, name: str, body: bytes) -> None:
        await self._wire.write("payload.put", lambda: self._blobs.update({name: body}))

    with ExitStack() as stack:
        stack.enter_context(patch.object(large_data, "split", under_one_name))
        stack.enter_context(patch.object(FakePayloadStore, "put", put))
        yield


OF_RESCUES = (
    Known(
        "a loser's result stored over the winner's",
        result_stored_over_the_winners,
        213,
        MANY_LATE | NOTHING_ELSE | {"stall_rate": 0.05, "lease_seconds": 15},
        breaks=BugClass.ONE_OUTCOME,
        shows="the result of epoch",
    ),
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
