"""Slots: how long a job that must run alone may keep them from others."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest

from jobfleet_backends.system_clock import SystemClock
from jobfleet_worker.run.slots import REST, Slots
from tests.simulation.process import Process, ProcessClock
from tests.simulation.virtual_time import VirtualTime


class HandClock(SystemClock):
    """Stands still until it is moved."""

    seconds = 100.0

    def boottime(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@contextmanager
def taken(slots: Slots, count: int) -> Iterator[None]:
    for _ in range(count):
        slots.take()
    try:
        yield
    finally:
        for _ in range(count):
            slots.release()


async def one_wait(slots: Slots, clock: HandClock, seconds: float) -> bool:
    """Reserve all slots; the wait takes so long by the clock."""
    async with slots.alone() as is_alone:
        clock.seconds += seconds
        return is_alone


async def test_after_a_wait_other_jobs_have_the_slots_three_times_as_long(
    clock: HandClock,
) -> None:
    slots = Slots(4, clock=clock, alone_seconds=0.01)
    with taken(slots, 2):
        assert not await one_wait(slots, clock, 10)
        assert slots.free == 2
        clock.seconds += REST * 10 - 0.5
        assert not slots.can_be_reserved
        clock.seconds += 0.5
        assert slots.can_be_reserved


async def test_a_job_that_nothing_runs_beside_needs_no_pause(clock: HandClock) -> None:
    slots = Slots(4, clock=clock, alone_seconds=0.01)
    with taken(slots, 1), slots.suspect():
        assert await one_wait(slots, clock, 10)
        assert slots.can_be_reserved


async def test_suspects_that_come_together_are_no_other_jobs_to_each_other(
    clock: HandClock,
) -> None:
    slots = Slots(4, clock=clock, alone_seconds=0.01)
    with taken(slots, 1), slots.suspect():
        assert await one_wait(slots, clock, 10)
    with taken(slots, 3), slots.suspect(), slots.suspect():
        waiting = asyncio.create_task(slots.until_looked_at())
        await asyncio.sleep(0)
        assert not waiting.done()
        with slots.running():
            await waiting
            assert not slots.can_be_reserved  # another job runs beside them
        with slots.suspect():
            assert slots.can_be_reserved


async def test_a_job_that_nothing_runs_beside_does_not_end_the_rest_after_a_wait(
    clock: HandClock,
) -> None:
    slots = Slots(4, clock=clock, alone_seconds=0.01)
    with taken(slots, 2):
        await one_wait(slots, clock, 10)
    rest = slots.rest_left
    with taken(slots, 1):
        assert await one_wait(slots, clock, 1)
    assert slots.rest_left == rest - 1


async def test_only_one_job_at_a_time_reserves_the_slots(clock: HandClock) -> None:
    slots = Slots(4, clock=clock, alone_seconds=0.01)
    with taken(slots, 1):
        async with slots.alone():
            assert slots.free == 0
            assert not slots.can_be_reserved


def test_a_job_runs_alone_in_the_end_though_the_queue_is_never_empty() -> None:
    """In simulated time: each other job takes 100 s, and another one follows at once."""
    time = VirtualTime()
    clock = ProcessClock(time=time, wall_offset=timedelta(0), boot_offset=0)
    process = Process(name="worker", time=time, clock=clock)
    slots = Slots(4, clock=clock, alone_seconds=10)
    starts: list[float] = []

    async def keep_busy() -> None:
        while True:
            await slots.until_free()
            slots.take()
            starts.append(time.now)
            process.loop.call_later(100, slots.release)
            await asyncio.sleep(7)

    async def run_alone() -> float:
        """Come again a minute after each wait that was too short, as a message does."""
        while True:
            slots.take()
            with slots.suspect():
                if slots.can_be_reserved:
                    async with slots.alone() as is_alone:
                        if is_alone:
                            return time.now
            slots.release()
            await asyncio.sleep(60)

    busy = process.loop.create_task(keep_busy())
    suspect = process.loop.create_task(run_alone())
    time.run_until(lambda: suspect.done() or time.now >= 3600)
    time.leave()
    assert suspect.done()
    assert not busy.done()
    reached = suspect.result()
    assert reached > 10 + 20 + 40 + 80
    assert len(starts) * 100 > reached * 4 / 2, "the slots stood empty for more than half the time"
    process.loop.close_tasks()
