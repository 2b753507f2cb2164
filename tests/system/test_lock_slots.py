"""Jobs of one lock key with three slots: three at a time, whatever happens to the workers."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from functools import partial

import pytest

from jobfleet_contracts.event import Event
from jobfleet_contracts.state import State
from tests.polling import eventually
from tests.servers import ON_AZURE
from tests.system.fleet import Fleet, WorkerProcess
from tests.system.verified import assert_verified

SLOTS = 3


@ON_AZURE
@pytest.mark.timeout(900)
@pytest.mark.parametrize("jobs", [60, pytest.param(200, marks=pytest.mark.chaos)])
async def test_three_at_a_time_run_though_workers_are_killed_and_sleep_past_their_leases(
    fleet: Fleet, jobs: int
) -> None:
    for _ in range(3):
        fleet.start_worker(concurrency="4", defer_seconds="1")
    first = await fleet.submit_steps(steps=1, step_seconds=0.1)
    await fleet.until_ended(first)
    job_ids = [
        await fleet.submit_steps(steps=2, step_seconds=0.2, lock_key="press", lock_slots=SLOTS)
        for _ in range(jobs)
    ]
    killed = await _holder(fleet, job_ids)
    killed.signal(signal.SIGKILL)
    fleet.start_worker(concurrency="4", defer_seconds="1")
    await _until_ended(fleet, job_ids, jobs // 2)
    sleeper = await _holder(fleet, job_ids)
    await sleeper.put_to_sleep()
    await fleet.until_ended(*job_ids, seconds=400)
    long_ones = [
        await fleet.submit_steps(steps=300, step_seconds=1, lock_key="press", lock_slots=SLOTS)
        for _ in range(SLOTS + 1)
    ]
    await eventually("as many to run as before", partial(_run, fleet, long_ones, SLOTS))
    sleeper.signal(signal.SIGCONT)

    assert _most_at_once(await _in_time_order(fleet, job_ids)) == SLOTS
    assert _most_at_once(await _in_time_order(fleet, long_ones)) == SLOTS
    await assert_verified(fleet.backend)


async def _holder(fleet: Fleet, job_ids: Sequence[str]) -> WorkerProcess:
    """Return a worker that runs one of the jobs now."""

    async def found() -> WorkerProcess | None:
        for job_id in job_ids:
            head = await fleet.backend.trail.newest(job_id)
            if head is not None and head.after.state is State.RUNNING:
                for worker in fleet.workers:
                    if not worker.has_died and str(head.after.worker_id) in worker.log:
                        return worker
        return None

    return await eventually("a job that runs", found)


async def _run(fleet: Fleet, job_ids: Sequence[str], count: int) -> bool:
    return [await fleet.state(job_id) for job_id in job_ids].count(State.RUNNING) == count


async def _until_ended(fleet: Fleet, job_ids: Sequence[str], count: int) -> None:
    async def enough() -> bool:
        ended = 0
        for job_id in job_ids:
            state = await fleet.state(job_id)
            ended += state is not None and state.is_terminal
        return ended >= count

    await eventually(f"{count} ended jobs", enough, seconds=400, every=0.2)


async def _in_time_order(fleet: Fleet, job_ids: Sequence[str]) -> list[Event]:
    """Return all events from the trail: the timeline is a copy, and a killed worker's lacks some.

    All processes of this test share one clock. What ends a run comes before what it lets start.
    """
    events = [e for job_id in job_ids for e in await fleet.backend.trail.history(job_id)]
    return sorted(events, key=lambda e: (e.occurred_at, e.after.state is State.RUNNING))


def _most_at_once(events: Sequence[Event]) -> int:
    running: set[str] = set()
    most = 0
    for event in events:
        runs = event.after.state is State.RUNNING
        (running.add if runs else running.discard)(event.job_id)
        most = max(most, len(running))
    return most
