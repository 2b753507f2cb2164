"""Simulated time and processes behave as real ones do, only faster."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any

import pytest

from tests.simulation.process import Process, ProcessClock
from tests.simulation.virtual_time import VirtualTime


@pytest.fixture
def time() -> VirtualTime:
    return VirtualTime()


@pytest.fixture
def process(time: VirtualTime) -> Process:
    clock = ProcessClock(time=time, wall_offset=timedelta(0), boot_offset=0)
    return Process(name="p", time=time, clock=clock)


def _finish(time: VirtualTime) -> None:
    time.run_until(lambda: False)
    time.leave()


def _begin(process: Process, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    return process.loop.create_task(work, name="work")


def test_sleeping_costs_no_time(time: VirtualTime, process: Process) -> None:
    task = _begin(process, asyncio.sleep(3600, "done"))  # virtual time
    _finish(time)
    assert task.result() == "done"
    assert time.now == 3600


def test_a_time_limit_ends_what_takes_longer(time: VirtualTime, process: Process) -> None:
    async def late() -> None:
        async with asyncio.timeout(5):
            await asyncio.sleep(60)

    task = _begin(process, late())
    _finish(time)
    assert isinstance(task.exception(), TimeoutError)


def test_a_process_that_vanishes_goes_no_further(time: VirtualTime, process: Process) -> None:
    seen: list[float] = []

    async def count() -> None:
        while True:
            await asyncio.sleep(1)
            seen.append(time.now)

    _begin(process, count())
    time.after(3.5, process.crash)
    _finish(time)
    assert seen == [1, 2, 3]
    process.loop.close_tasks()


def test_a_paused_process_goes_on_where_it_was(time: VirtualTime, process: Process) -> None:
    async def twice() -> list[float]:
        await asyncio.sleep(1)
        first = time.now
        await asyncio.sleep(1)
        return [first, time.now]

    task = _begin(process, twice())
    time.after(0.5, lambda: process.pause(100))
    _finish(time)
    assert task.result() == [100.5, 101.5]


def test_renewals_go_on_while_the_handlers_loop_is_blocked(
    time: VirtualTime, process: Process
) -> None:
    async def note() -> float:
        await asyncio.sleep(1)
        return time.now

    blocked = _begin(process, note())
    renewing = process.renewal_loop.create_task(note(), name="renewing")
    time.after(0.5, lambda: process.block(100))
    _finish(time)
    assert (renewing.result(), blocked.result()) == (1, 100.5)
