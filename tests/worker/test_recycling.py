"""Workers that end by themselves after so many jobs, or above so much memory."""

from __future__ import annotations

import asyncio

import pytest

from jobfleet_contracts.state import State
from jobfleet_worker import handler
from jobfleet_worker.run.recycling import Recycling
from jobfleet_worker.used_memory import used_memory_mb
from tests.worker.workshop import Workshop


@handler("job")
async def work() -> None: ...


@pytest.mark.parametrize("limit", [{"max_jobs": 2}, {"max_memory_mb": 1}])
async def test_a_worker_at_its_limit_drains_and_ends(
    workshop: Workshop, limit: dict[str, int]
) -> None:
    running = workshop.start_worker(work, **limit)
    jobs = [await workshop.submit("job") for _ in range(2)]
    await asyncio.wait_for(asyncio.shield(running._task), 30)
    workshop.start_worker(work)
    for each in jobs:
        assert (await workshop.until_ended(each)).after.state is State.COMPLETED


def test_the_stop_is_asked_for_once() -> None:
    stops: list[None] = []
    used = 10.0
    recycling = Recycling(
        max_jobs=3, max_memory_mb=20, stop=lambda: stops.append(None), memory_mb=lambda: used
    )
    recycling.job_ended()
    recycling.job_ended()
    assert len(stops) == 0
    recycling.job_ended()
    recycling.job_ended()
    assert len(stops) == 1
    used = 21.0
    recycling.job_ended()
    recycling.job_ended()
    assert len(stops) == 2


def test_the_memory_of_this_process_is_a_plausible_number() -> None:
    assert 10 < used_memory_mb() < 10_000
