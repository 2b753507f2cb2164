"""Announcements are hints of any user of the broker: many of them stop no worker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from jobfleet_contracts.control import ControlSubject
from jobfleet_protocol.control.pause_state import FleetPauses
from jobfleet_worker.run.pause_watch import PauseWatch
from tests.simulation.process import Process, ProcessClock
from tests.simulation.virtual_time import VirtualTime

EVERY = 0.005


class Flood:
    """A control channel on which somebody announces a change 200 times a second."""

    async def changes(self) -> AsyncIterator[tuple[ControlSubject, str]]:
        while True:
            await asyncio.sleep(EVERY)
            yield ControlSubject.QUEUE, "x"


class Log:
    """A control log; each look at it takes a while."""

    def __init__(self, seconds: float) -> None:
        self.pauses = FleetPauses()
        self.looks = 0
        self._seconds = seconds

    async def read(self) -> FleetPauses:
        self.looks += 1
        found = self.pauses
        await asyncio.sleep(self._seconds)
        return found


class NoLimits:
    """A fleet without named limits."""

    async def read(self) -> dict[str, Any]:
        return {}


@pytest.mark.parametrize("look_seconds", [0.001, 0.02, 1.0])
def test_a_worker_knows_the_pauses_under_a_flood_of_announcements(look_seconds: float) -> None:
    time = VirtualTime()
    clock = ProcessClock(time=time, wall_offset=timedelta(0), boot_offset=0)
    process = Process(name="worker", time=time, clock=clock)
    log: Any = Log(look_seconds)
    flood: Any = Flood()
    limits: Any = NoLimits()
    heeded: list[FleetPauses] = []

    async def changed(pauses: FleetPauses) -> None:
        heeded.append(pauses)

    watch = PauseWatch(
        pauses=log,
        limits=limits,
        control=flood,
        changed=changed,
        clock=clock,
        heartbeat_seconds=60,
    )
    process.loop.create_task(watch.run())
    known, total, next_look = 0, 0, 0.0

    def is_over() -> bool:
        nonlocal known, total, next_look
        if time.now >= next_look:
            next_look += 0.01
            total += 1
            known += watch.latest is not None
        return time.now >= 60

    time.run_until(is_over)
    assert known > total / 3
    assert log.looks < 60 / 0.5 + 2
    log.pauses = paused = FleetPauses(queues={"x": object()})  # type: ignore[dict-item]
    since = time.now
    latest = since + 0.5 + 3 * look_seconds + 0.1
    time.run_until(lambda: heeded[-1] is paused or time.now >= latest)
    time.leave()
    assert heeded[-1] is paused
    process.loop.close_tasks()
