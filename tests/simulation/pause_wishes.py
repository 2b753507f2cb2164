"""Pauses of a run: operators pause and resume its queue and its type, drawn by seed."""

from __future__ import annotations

from datetime import timedelta
from random import Random
from typing import TYPE_CHECKING

from jobfleet_contracts.control import ControlSubject
from jobfleet_contracts.state import State
from tests.simulation.scenario import Scenario
from tests.simulation.sim_handlers import JOB_TYPE
from tests.simulation.workload import Wish

if TYPE_CHECKING:
    from tests.simulation.fleet import Api

QUEUE = "default"
LAST_PAUSE_VERB = "resume all"
RUN_VERB = "run anyway"
PAUSE_VERBS = frozenset(
    {"pause queue", "resume queue", "pause type", "resume type", RUN_VERB, LAST_PAUSE_VERB}
)
LAST_SECONDS = 20.0
"""After the faults have ended pauses go on for so long, and are then resumed."""


def pause_wishes(scenario: Scenario) -> list[Wish]:
    """Return what happens to queue and type of a run; nothing in a run without pauses."""
    if not scenario.pauses:
        return []
    dice = Random(f"pauses/{scenario.seed}")
    end = scenario.fault_seconds + LAST_SECONDS
    wishes = []
    for number in range(dice.randint(1, 6)):
        at, subject = dice.uniform(0, end - 1), dice.choice(("queue", "type"))
        wishes.append(Wish(at=at, verb=f"pause {subject}", tag=f"pause-{number}"))
        if dice.random() < 0.6:
            later = min(at + dice.choice((3, 20, 60)), end - 0.5)
            wishes.append(Wish(at=later, verb=f"resume {subject}", tag=f"resume-{number}"))
    return [*wishes, Wish(at=end, verb=LAST_PAUSE_VERB, tag="resume-all")]


async def act_on_pauses(wish: Wish, api: Api, by: str) -> State:
    """Do what a wish says, as an API server does it; some pauses end by themselves."""
    queue, of_type = (ControlSubject.QUEUE, QUEUE), (ControlSubject.TYPE, JOB_TYPE)
    pauses, now = api.pauses, api.process.clock.now()
    until = now + timedelta(seconds=15) if wish.tag.endswith(("1", "4")) else None
    match wish.verb:
        case "pause queue":
            await pauses.pause(*queue, by=by, until=until)
        case "pause type":
            await pauses.pause(*of_type, by=by, until=until)
        case "resume queue":
            await pauses.resume(*queue, by=by)
        case "resume type":
            await pauses.resume(*of_type, by=by)
        case "run anyway":
            await pauses.run_job_anyway(wish.job_id, trail=api.backend.trail, by=by)
        case "resume all":
            await pauses.resume(*queue, by=by)
            await pauses.resume(*of_type, by=by)
    return State.QUEUED
