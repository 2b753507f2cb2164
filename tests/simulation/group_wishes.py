"""Groups of a run, and what people do to their members: drawn by seed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from random import Random
from uuid import UUID

from jobfleet_contracts.errors import ActionRefused, BackendUnavailable
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.state import State
from jobfleet_protocol.actions.group_counts import member_id
from jobfleet_protocol.actions.groups import Groups, group_request
from jobfleet_protocol.actions.redrive import Redriver
from tests.simulation.process import BEGIN
from tests.simulation.scenario import Scenario
from tests.simulation.sim_handlers import JOB_TYPE
from tests.simulation.workload import Wish

BLOCK = 3
"""Members of a block, so that small groups have several."""
MOST_MEMBERS = 8
GROUP_VERB, FREE_VERB = "group", "free"
GROUP_VERBS = frozenset({GROUP_VERB, FREE_VERB})
SEAL_SECONDS = 200.0
HEALED_SECONDS = 120.0
"""After the world has healed every group is open by then, or nobody opens it any more."""


def group_wishes(scenario: Scenario) -> list[Wish]:
    """Return the groups of a run, and actions on their members."""
    dice = Random(f"grouped jobs/{scenario.seed}")
    return [wish for n in range(scenario.groups) for wish in _of_one_group(scenario, dice, n)]


def _of_one_group(scenario: Scenario, dice: Random, number: int) -> Iterator[Wish]:
    span = scenario.fault_seconds
    at = dice.uniform(0, span * 0.5)
    group_id = str(UUID(int=(0x7 << 76) | (0x3 << 62) | (0x6 << 96) | number))
    on_failure = dice.choice(("continue", "hold"))
    step = {
        "type": JOB_TYPE,
        "when": "always",
        "payload": {"steps": 1, "seconds": 0},
        "results": {"handed": "previous", "all": "members"},
    }
    fields = {"jobId": group_id, "jobName": "group", "then": [step]}
    request = group_request(
        fields,
        on_failure="hold" if on_failure == "hold" else "continue",
        seal_seconds=SEAL_SECONDS,
    ).model_copy(update={"created_at": BEGIN + timedelta(seconds=at)})
    total = dice.randint(0, MOST_MEMBERS)
    members = tuple(_member(dice, at) for _ in range(total))
    yield Wish(
        at=at, verb=GROUP_VERB, tag=f"group-{number}", request=request, job_id=group_id,
        members=members,
    )  # fmt: skip
    for index in range(total):
        member, verb = member_id(group_id, index), dice.choice(("", "", "cancel", "redrive"))
        if verb:
            when = at + dice.uniform(0.1, span)
            yield Wish(at=when, verb=verb, tag=f"{verb}-{number}-{index}", job_id=member)
    if on_failure == "hold":
        yield Wish(at=span + HEALED_SECONDS, verb=FREE_VERB, tag=f"free-{number}", job_id=group_id)


def _member(dice: Random, at: float) -> JobRequest:
    plan = {"steps": 1, "seconds": dice.choice((0, 0.2, 2, 5))}
    if dice.random() < 0.2:
        plan["fatal"] = True
    created = BEGIN + timedelta(seconds=at)
    return JobRequest(type=JOB_TYPE, payload=plan, max_attempts=2, created_at=created)


async def act_on_group(wish: Wish, groups: Groups, redriver: Redriver, by: str) -> State:
    """Open, fill and seal a group, or free one from the members that hold it."""
    if wish.verb == FREE_VERB:
        return await _free(wish.job_id, groups, redriver, by)
    assert wish.request is not None
    await groups.open(wish.request, by=by)
    for index, member in enumerate(wish.members):
        await groups.add(wish.job_id, index, member, by=by)
    return await groups.seal(wish.job_id, len(wish.members), by=by)


async def _free(group_id: str, groups: Groups, redriver: Redriver, by: str) -> State:
    """Dismiss what holds the group, until it has ended; the caller asks again until then."""
    standing = await groups.standing(group_id)
    if standing.head.after.state.is_terminal:
        return standing.head.after.state
    for index in standing.bad:
        try:
            await redriver.dismiss(member_id(group_id, index), by=f"{by}/{index}")
        except ActionRefused:
            await _redriven(redriver, member_id(group_id, index), f"{by}/{index}")
    raise BackendUnavailable("the group waits for its members still")


async def _redriven(redriver: Redriver, job_id: str, by: str) -> None:
    """A cancelled member cannot be dismissed; one that runs again needs nothing."""
    try:
        await redriver.redrive(job_id, by=by)
    except ActionRefused:
        return
