"""The leader among the workers fires schedules; a worker that is gone is followed by another."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from jobfleet_contracts.control import ControlKind, ControlSubject
from jobfleet_contracts.schedule import Schedule
from jobfleet_protocol.control.schedules import Schedules
from jobfleet_worker import handler
from tests.polling import eventually
from tests.worker.workshop import Workshop


@handler("tick")
async def tick(payload: Any = None) -> None:
    """Do nothing: the trail shows that it ran."""


def schedules(workshop: Workshop) -> Schedules:
    return Schedules(
        log=workshop.real.control_log,
        trail=workshop.real.trail,
        submitter=workshop.submitter,
        clock=workshop.clock,
    )


async def fired(workshop: Workshop) -> list[str]:
    log = await workshop.real.control_log.history(ControlSubject.SCHEDULE, "often")
    return [entry.details["tick"] for entry in log if entry.kind is ControlKind.FIRED][::-1]


async def test_two_workers_fire_each_tick_once_and_go_on_when_one_stops(
    workshop: Workshop,
) -> None:
    often = Schedule(
        name="often", type="tick", every=timedelta(seconds=1), overlap="allow", catch_up="all"
    )
    await schedules(workshop).declare(often, by="me")
    first = workshop.start_worker(tick, rescue_seconds=0.2)
    workshop.start_worker(tick, rescue_seconds=0.2)

    async def some() -> bool:
        return len(await fired(workshop)) >= 3

    await eventually("three ticks", some)
    await first.stop()
    seen = len(await fired(workshop))

    async def more() -> bool:
        return len(await fired(workshop)) >= seen + 3

    await eventually("three ticks after the first worker has left", more)
    ticks = await fired(workshop)
    assert len(set(ticks)) == len(ticks)


async def test_a_schedule_that_cannot_be_read_stops_no_other(workshop: Workshop) -> None:
    every = timedelta(seconds=1)
    broken = Schedule(name="broken", type="tick", every=every)
    await schedules(workshop).declare(broken, by="me")
    head = await workshop.real.control_log.newest(ControlSubject.SCHEDULE, "broken")
    assert head is not None
    state = dict(head.state) | {"definition": {"type": "tick", "newField": 1}}
    entry = type(head)(
        **{name: getattr(head, name) for name in head.__slots__}
        | {"sequence": 2, "entry_id": "x", "state": state}
    )
    await workshop.real.control_log.insert(entry)
    await schedules(workshop).declare(Schedule(name="often", type="tick", every=every), by="me")
    workshop.start_worker(tick, rescue_seconds=0.2)

    async def some() -> bool:
        return len(await fired(workshop)) >= 2

    await eventually("the other one ticks", some)
