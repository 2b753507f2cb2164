"""Named limits of a run: operators set them, and change their slots while jobs run."""

from __future__ import annotations

from random import Random

from jobfleet_contracts.state import State
from jobfleet_protocol.control.limits import Limits
from tests.simulation.limit_names import API, DISK
from tests.simulation.scenario import Scenario
from tests.simulation.workload import Wish

LIMIT_VERBS = frozenset({"set limit"})


def limit_wishes(scenario: Scenario) -> list[Wish]:
    """Return what operators set; nothing in a run without limits."""
    if not scenario.limits:
        return []
    dice = Random(f"limit changes/{scenario.seed}")
    wishes = [
        Wish(at=0.0, verb="set limit", tag=f"limit-{API}-2", key=f"{API}/2"),
        Wish(at=0.0, verb="set limit", tag=f"limit-{DISK}-1", key=f"{DISK}/1"),
    ]
    for number in range(dice.randint(0, 5)):
        at, slots = dice.uniform(5, scenario.fault_seconds), dice.choice((1, 1, 2, 3))
        tag = f"limit-change-{number}"
        wishes.append(Wish(at=at, verb="set limit", tag=tag, key=f"{API}/{slots}"))
    return wishes


async def act_on_limits(wish: Wish, limits: Limits, by: str) -> State:
    """Do what a wish says, as an API server does it."""
    name, _, slots = (wish.key or "").partition("/")
    await limits.set(name, slots=int(slots), rate=None, by=by)
    return State.QUEUED
