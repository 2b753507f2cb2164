"""A schedule of a run, and what operators do to it: drawn by seed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from random import Random
from typing import Any

from jobfleet_contracts.schedule import Schedule
from jobfleet_contracts.state import State
from jobfleet_protocol.control.schedules import Schedules
from tests.simulation.scenario import Scenario
from tests.simulation.sim_handlers import JOB_TYPE
from tests.simulation.workload import Wish

NAME = "recurring"
LAST_VERB = "unschedule"
SCHEDULE_VERBS = frozenset({"declare", "change", "deploy", "pause", "resume", "run", LAST_VERB})
LAST_SECONDS = 30.0
"""After the world has healed the schedule goes on for so long, and is then removed."""


def schedule_wishes(scenario: Scenario) -> list[Wish]:
    """Return what happens to the schedule of a run; nothing in a run without one."""
    if not scenario.schedules:
        return []
    dice = Random(f"schedule/{scenario.seed}")
    end = scenario.fault_seconds + LAST_SECONDS
    wishes = [_wish(0, dice.uniform(0, 5), "declare", _definition(dice))]
    wishes += _actions(dice, end)
    return [*wishes, _wish(99, end, LAST_VERB)]


async def act_on_schedule(wish: Wish, schedules: Schedules, by: str) -> State:
    """Do what a wish says, as an API server does it."""
    match wish.verb:
        case "declare" | "change":
            assert wish.schedule is not None
            await schedules.declare(wish.schedule, by=by)
        case "deploy":
            assert wish.schedule is not None
            await schedules.declare_by_code(wish.schedule)
        case "pause":
            await schedules.pause(NAME, by=by)
        case "resume":
            await schedules.resume(NAME, by=by)
        case "run":
            return (await schedules.run(NAME, by=by)).state
        case "unschedule":
            await schedules.remove(NAME, by=by)
    return State.QUEUED


def _actions(dice: Random, end: float) -> Iterator[Wish]:
    for number in range(1, dice.randint(0, 5) + 1):
        verb = dice.choice(("pause", "resume", "pause", "resume", "change", "run", "deploy"))
        definition = _definition(dice) if verb in ("change", "deploy") else None
        yield _wish(number, dice.uniform(5, end), verb, definition)


def _definition(dice: Random) -> Schedule:
    fields: dict[str, Any] = {
        "overlap": dice.choice(("skip", "queue", "allow", "allow")),
        "catch_up": dice.choice(("none", "last", "all", "all")),
        "payload": {"steps": 1, "seconds": dice.choice((0, 2, 20))},
    }
    every = timedelta(seconds=dice.choice((5, 7, 20, 45)))
    return Schedule(name=NAME, type=JOB_TYPE, every=every, **fields)


def _wish(number: int, at: float, verb: str, definition: Schedule | None = None) -> Wish:
    return Wish(at=at, verb=verb, tag=f"schedule-{number}", schedule=definition)
