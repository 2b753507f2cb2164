"""Groups of a run, and what people do to their members: drawn by seed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from random import Random
from typing import TYPE_CHECKING
from uuid import UUID

from jobfleet_contracts.errors import ActionRefused, BackendUnavailable
from jobfleet_contracts.job import JobRequest, Member
from jobfleet_contracts.state import State
from jobfleet_protocol.actions.group_counts import member_id
from jobfleet_protocol.actions.group_ending import OnFailure, total_of
from jobfleet_protocol.actions.groups import group_request
from jobfleet_protocol.actions.redrive import Redriver
from tests.simulation.process import BEGIN
from tests.simulation.scenario import Scenario
from tests.simulation.sim_handlers import JOB_TYPE
from tests.simulation.workload import Wish

if TYPE_CHECKING:
    from tests.simulation.fleet import Api

BLOCK = 3
"""Members of a block, so that small groups have several."""
MOST_MEMBERS = 8
GROUP_VERB, LEAVE_VERB, FREE_VERB = "group", "leave", "free"
GROUP_VERBS = frozenset({GROUP_VERB, LEAVE_VERB, FREE_VERB})
SEAL_SECONDS = 200.0
CANCELLED_SECONDS = 300.0
"""After the world has healed, and a cancel was asked for, no member of the group starts later."""
HEALED_SECONDS = 400.0
"""After the world has healed every group is open by then, or nobody opens it any more."""


def group_wishes(scenario: Scenario) -> list[Wish]:
    """Return the groups of a run, and actions on their members."""
    dice = Random(f"grouped jobs/{scenario.seed}")
    return [wish for n in range(scenario.groups) for wish in _of_one_group(scenario, dice, n)]


def _of_one_group(scenario: Scenario, dice: Random, number: int) -> Iterator[Wish]:
    span = scenario.fault_seconds
    at = dice.uniform(0, span * 0.5)
    group_id = str(UUID(int=(0x7 << 76) | (0x3 << 62) | (0x6 << 96) | number))
    more = Random(f"more of a group/{scenario.seed}/{number}")
    policy: OnFailure = "hold" if dice.choice(("continue", "hold")) == "hold" else "continue"
    is_cancelling = more.random() < scenario.group_cancels
    if is_cancelling and more.random() < 0.6:
        policy = "cancel"
    step = {
        "type": JOB_TYPE,
        "when": "always",
        "payload": {"steps": 1, "seconds": 0},
        "results": {"handed": "previous", "all": "members"},
    }
    fields = {"jobId": group_id, "jobName": "group", "then": [step]}
    request = group_request(
        fields,
        on_failure=policy,
        seal_seconds=SEAL_SECONDS,
    ).model_copy(update={"created_at": BEGIN + timedelta(seconds=at)})
    total = dice.randint(0, MOST_MEMBERS)
    members = tuple(_member(dice, at) for _ in range(total))
    if is_cancelling:
        members += (_late_member(at, span),)
    nested = more.random() < scenario.nested_groups
    behind = Random(f"left behind/{scenario.seed}/{number}")
    is_asked = is_cancelling and policy != "cancel"
    is_left = is_asked and behind.random() < scenario.left_behind
    group = Wish(
        at=at, verb=GROUP_VERB, tag=f"group-{number}", request=request, job_id=group_id,
        members=members, nested=tuple(_member(more, at) for _ in range(2)) if nested else (),
        left=_late_member(at, span) if is_left else None,
    )  # fmt: skip
    yield group
    if is_left:
        when = at + behind.uniform(10, 100)
        yield replace(group, at=when, verb=LEAVE_VERB, tag=f"leave-{number}")
    if is_asked:
        when = at + more.choice((0.01, 1, 10)) * more.random()
        yield Wish(at=when, verb="cancel", tag=f"cancel-group-{number}", job_id=group_id)
    for index in range(total):
        member, verb = member_id(group_id, index), dice.choice(("", "", "cancel", "redrive"))
        if verb:
            when = at + dice.uniform(0.1, span)
            yield Wish(at=when, verb=verb, tag=f"{verb}-{number}-{index}", job_id=member)
        if more.random() < scenario.member_erasures:
            when = at + more.uniform(1, span)
            yield Wish(at=when, verb="erase", tag=f"erase-{number}-{index}", job_id=member)
    if policy == "hold":
        yield Wish(at=span + HEALED_SECONDS, verb=FREE_VERB, tag=f"free-{number}", job_id=group_id)


def _member(dice: Random, at: float) -> JobRequest:
    plan = {"steps": 1, "seconds": dice.choice((0, 0.2, 2, 5))}
    if dice.random() < 0.2:
        plan["fatal"] = True
    created = BEGIN + timedelta(seconds=at)
    return JobRequest(type=JOB_TYPE, payload=plan, max_attempts=2, created_at=created)


def _late_member(at: float, span: float) -> JobRequest:
    """A member of a group that is cancelled: it must have been cancelled before it is due."""
    begin = BEGIN + timedelta(seconds=at)
    due = BEGIN + timedelta(seconds=span + CANCELLED_SECONDS + HEALED_SECONDS)
    plan = {"steps": 1, "seconds": 0}
    return JobRequest(type=JOB_TYPE, payload=plan, max_attempts=2, created_at=begin, run_at=due)


async def act_on_group(wish: Wish, api: Api, by: str) -> State:
    """Open, fill and seal a group, or free one from the members that hold it."""
    if wish.verb == FREE_VERB:
        return await _free(wish.job_id, api, by)
    if wish.verb == LEAVE_VERB:
        return await _leave(wish, api, by)
    assert wish.request is not None
    await api.groups.open(wish.request, by=by)
    for index, member in enumerate(wish.members):
        await api.groups.add(wish.job_id, index, member, by=by)
    if wish.nested:
        await _nest(wish, api, by)
    return await api.groups.seal(wish.job_id, wish.total, by=by)


async def _nest(wish: Wish, api: Api, by: str) -> None:
    assert wish.request is not None
    group = group_request({"jobName": "nested"}, seal_seconds=SEAL_SECONDS)
    group = group.model_copy(update={"created_at": wish.request.created_at})
    nested = (await api.groups.open_member(wish.job_id, len(wish.members), group, by=by)).job_id
    for index, member in enumerate(wish.nested):
        await api.groups.add(nested, index, member, by=by)
    await api.groups.seal(nested, len(wish.nested), by=by)


async def _leave(wish: Wish, api: Api, by: str) -> State:
    """Insert the last member of a sealed group, and do no more: as a caller that dies then."""
    head = await api.backend.trail.newest(wish.job_id)
    if head is None or await total_of(head, api.backend.trail) is None:
        if head is not None and head.after.state.is_terminal:
            raise ActionRefused("the group was never sealed")
        raise BackendUnavailable("the group is not sealed yet")
    assert wish.left is not None
    index = wish.total - 1
    place = {
        "job_id": member_id(wish.job_id, index),
        "member": Member(group_id=wish.job_id, index=index),
    }
    member = wish.left.model_copy(update=place)
    return (await api.submitter.submit_internal(member, by=by)).state


async def _free(group_id: str, api: Api, by: str) -> State:
    """Dismiss what holds the group, until it has ended; the caller asks again until then."""
    record = await api.group_reader.read(group_id)
    if record.job.newest.after.state.is_terminal:
        return record.job.newest.after.state
    for index in record.bad:
        try:
            await api.redriver.dismiss(member_id(group_id, index), by=f"{by}/{index}")
        except ActionRefused:
            await _redriven(api.redriver, member_id(group_id, index), f"{by}/{index}")
    raise BackendUnavailable("the group waits for its members still")


async def _redriven(redriver: Redriver, job_id: str, by: str) -> None:
    """A cancelled member cannot be dismissed; one that runs again needs nothing."""
    try:
        await redriver.redrive(job_id, by=by)
    except ActionRefused:
        return
