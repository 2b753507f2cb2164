"""Chains and groups as a whole trail holds them, and the same with one thing wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from jobfleet_contracts.event import Event
from jobfleet_contracts.internal_job import GROUP_TYPE
from jobfleet_contracts.state import Status
from jobfleet_protocol.actions.group_counts import member_id
from jobfleet_protocol.actions.successors import successor_id
from jobfleet_protocol.trail.transitions import Change
from tests.protocol.life import Life

GROUP = "018f0000-0000-7000-8000-00000000000a"
FIRST = "018f0000-0000-7000-8000-00000000000b"
_THEN = [{"type": "demo"}, {"type": "demo", "when": "failure"}]
Flows = list[list[Event]]


def _job(job_id: str, request: Mapping[str, Any], *, fails: bool = False) -> list[Event]:
    return _life(job_id, request, fails=fails).events


def _life(job_id: str, request: Mapping[str, Any], *, fails: bool = False) -> Life:
    life = Life()
    life.facts = replace(life.facts, job_id=job_id)
    life.together(
        Change(kind=Status.QUEUED, max_attempts=3, data={"request": {"type": "demo", **request}})
    )
    life.started()
    kind = Status.FAILED if fails else Status.COMPLETED
    life.together(Change(kind=kind, worker_id="w1", data={}))
    return life


def _group(total: int = 2, **counted: Any) -> list[Event]:
    life = Life(max_attempts=1)
    life.facts = replace(life.facts, job_id=GROUP, job_type=GROUP_TYPE)
    asked = {"type": GROUP_TYPE, "then": [{"type": "demo", "when": "always"}]}
    life.together(
        Change(kind=Status.WAITING, max_attempts=1, due_at=life.now, data={"request": asked})
    )
    life.together(Change(kind=Status.SEALED, data={"total": total}))
    counts = {"total": total, "states": {"completed": 1, "failed": 1}, "incarnations": {}} | counted
    kind = Status.COMPLETED if counts["states"] == {"completed": total} else Status.FAILED
    life.together(Change(kind=kind, data={"group": counts}))
    return life.events


def _member(index: int, *, fails: bool = False) -> list[Event]:
    request = {"member": {"groupId": GROUP, "index": index}}
    return _job(member_id(GROUP, index), request, fails=fails)


def _successor(of: str, place: int) -> list[Event]:
    request = {"follows": {"jobId": of, "incarnation": 1}}
    return _job(successor_id(of, place, 1), request)


def whole_flows() -> Flows:
    """Return a chain of two jobs, and a group of two members that one job follows."""
    return [
        _job(FIRST, {"then": _THEN}),
        _successor(FIRST, 0),
        _group(),
        _member(0),
        _member(1, fails=True),
        _successor(GROUP, 0),
    ]


def flows_of_an_erased_job(*, emptied: int, is_followed: bool) -> Flows:
    """Return a chain whose first job is erased; its first rows have lost their values."""
    first = _life(FIRST, {"then": _THEN}).erased(emptied=emptied).events
    return [first, _successor(FIRST, 0)] if is_followed else [first]


def _with(place: int, *events: list[Event]) -> Callable[[], Flows]:
    def flows() -> Flows:
        found = whole_flows()
        return [*found[:place], *events, *found[place + 1 :]]

    return flows


def _beside(events: list[Event]) -> Callable[[], Flows]:
    return lambda: [*whole_flows(), events]


BROKEN_FLOWS: Mapping[str, tuple[int, Callable[[], Sequence[Sequence[Event]]]]] = {
    "a successor is missing": (13, _with(1)),
    "the successor of a group is missing": (13, _with(5)),
    "a successor that its job did not ask for": (13, _beside(_successor(FIRST, 1))),
    "a successor at a place that there is not": (13, _beside(_successor(FIRST, 7))),
    "a successor that a completed job asks for after a failure": (
        13,
        _with(0, _job(FIRST, {"then": _THEN}, fails=True)),
    ),
    "a group counts a member that is missing": (14, _with(3)),
    "a group counts a member that failed as completed": (
        14,
        _with(2, _group(states={"completed": 2})),
    ),
    "a group counts an incarnation that never was": (14, _with(2, _group(incarnations={"1": 2}))),
    "a group counts more members than it has": (
        14,
        _with(2, _group(states={"completed": 2, "failed": 1})),
    ),
    "a member under another id": (
        14,
        _beside(_job(member_id(GROUP, 5), {"member": {"groupId": GROUP, "index": 1}})),
    ),
}
"""By what is wrong: the rule that it breaks, and the histories."""
