"""No value that somebody wrote into a stored event ends the check of the others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from jobfleet_contracts.event import Event
from jobfleet_contracts.internal_job import GROUP_TYPE, internal_job_id
from jobfleet_contracts.state import State
from jobfleet_protocol.actions.group_counts import marks_in
from jobfleet_protocol.audit.verification import Verifier
from tests.protocol.life import Life

STRANGE: tuple[Any, ...] = (None, -1, 2**62, 1.5, True, "", "x", [], [1], [None], {}, {"a": 1})
GROUP = internal_job_id("group", "g")
REQUEST = {
    "member": {"groupId": GROUP, "index": 0},
    "follows": {"jobId": GROUP, "incarnation": 1},
    "then": [{"type": "report", "when": "success", "results": {"of": "previous"}}],
}
COUNTED = {"group": {"total": 1, "states": {"completed": 1}, "incarnations": {"0": 1}}}


def _with(value: Any, path: tuple[Any, ...] = ()) -> Iterator[Any]:
    """Yield the value with each of its parts replaced by each strange one."""
    yield from STRANGE
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, part in items if isinstance(value, dict | list) else ():
        for other in _with(part) if isinstance(part, dict | list) else STRANGE:
            copy = value.copy()
            copy[key] = other
            yield copy


def _history(request: Any, end: Any, job_type: str) -> list[Event]:
    events = Life().queued().started().completed().events
    facts = replace(events[0].facts, job_type=job_type)
    retyped = [replace(event, facts=facts) for event in events]
    first = replace(retyped[0], data=retyped[0].data | {"request": request})
    last = replace(retyped[-1], data=end if isinstance(end, dict) else {"group": end})
    return [first, *retyped[1:-1], last]


def _verify(*histories: list[Event]) -> None:
    verifier = Verifier()
    for history in histories:
        verifier.add(history)
    verifier.finish()
    assert verifier.events == sum(map(len, histories))


@pytest.mark.parametrize("job_type", ["report", GROUP_TYPE])
def test_no_stored_request_ends_the_verification(job_type: str) -> None:
    sound = Life().queued().started().events
    for request in _with(REQUEST):
        history = _history(request, COUNTED, job_type)
        assert history[-1].after.state is State.COMPLETED
        _verify(sound, history)
        list(marks_in(history))


def test_no_stored_count_of_a_group_ends_the_verification() -> None:
    for end in _with(COUNTED):
        _verify(_history(REQUEST, end, GROUP_TYPE))
