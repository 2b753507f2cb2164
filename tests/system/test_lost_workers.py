"""What happens to a job whose worker dies or falls asleep."""

import asyncio
import signal
from collections.abc import Awaitable, Callable

import pytest

from tests.polling import eventually
from tests.servers import ON_AZURE, ON_EMBEDDED
from tests.system.fleet import LEASE_SECONDS, Fleet, WorkerProcess
from tests.system.verified import assert_verified


@ON_AZURE
async def test_a_job_whose_worker_is_killed_starts_again_within_the_lease_and_ten_seconds(
    fleet: Fleet,
) -> None:
    first = fleet.start_worker()
    job_id = await fleet.submit_steps(steps=10, step_seconds=0.5)
    await fleet.until_running(job_id)
    fleet.start_worker()
    first.signal(signal.SIGKILL)

    async def taken_over() -> bool:
        return "TakenOver" in await fleet.statuses(job_id)

    await eventually("the takeover", taken_over, seconds=LEASE_SECONDS + 120)
    await fleet.until_ended(job_id)
    statuses = await fleet.statuses(job_id)
    assert statuses[-1] == "Completed"
    assert statuses.count("Completed") == 1
    await assert_verified(fleet.backend)


async def test_lease_taken_for_exactly_once_by_a_worker_that_slept_past_it(
    fleet: Fleet,
) -> None:
    sleeper = fleet.start_worker()
    job_id = await fleet.submit_steps(steps=40, step_seconds=0.25)
    head = await fleet.until_running(job_id)
    await sleeper.put_to_sleep()
    fleet.start_worker()

    async def second_epoch() -> bool:
        newest = await fleet.backend.trail.newest(job_id)
        return newest is not None and newest.after.epoch > head.after.epoch

    # The broker may hand the first republished message to the sleeper itself.
    await eventually("the takeover", second_epoch, seconds=LEASE_SECONDS + 120)
    sleeper.signal(signal.SIGCONT)
    await eventually("the sleeper to notice", _has_logged(sleeper, "job.fenced"), seconds=120)
    await fleet.until_ended(job_id)
    history = await fleet.history(job_id)
    takeover = next(event for event in history if event.status == "TakenOver")
    assert all(e.after.epoch > head.after.epoch for e in history if e.sequence >= takeover.sequence)
    assert [e.status for e in history].count("Completed") == 1
    await assert_verified(fleet.backend)


@ON_EMBEDDED
async def test_a_worker_that_is_told_to_stop_hands_its_job_back_without_using_an_attempt(
    fleet: Fleet,
) -> None:
    first = fleet.start_worker(drain_seconds="0.2")
    job_id = await fleet.submit_steps(steps=6, step_seconds=0.3, max_attempts=1)
    await fleet.until_running(job_id)
    first.signal(signal.SIGTERM)
    assert await asyncio.to_thread(first.wait, 15) == 0
    fleet.start_worker()
    await fleet.until_ended(job_id)
    history = await fleet.history(job_id)
    assert [e.status for e in history if e.status in ("Deferred", "Completed")] == [
        "Deferred",
        "Completed",
    ]
    assert history[-1].after.attempt == 1


@pytest.mark.chaos
async def test_poison_message_that_kills_its_workers_fails_and_others_go_on(
    fleet: Fleet,
) -> None:
    job_id = await fleet.submit("poison", max_attempts=3)
    workers = [fleet.start_worker(handlers="tests.system.deadly_handlers")]

    async def ended() -> bool:
        if workers[-1].has_died:
            workers.append(fleet.start_worker(handlers="tests.system.deadly_handlers"))
        state = await fleet.state(job_id)
        return state is not None and state.is_terminal

    await eventually("the poison job to be given up", ended, seconds=8 * (LEASE_SECONDS + 6))
    other = await fleet.submit_steps(steps=1, step_seconds=0)
    await fleet.until_ended(other)
    history = await fleet.history(job_id)
    assert history[-1].status == "Failed"
    assert history[-1].data["error"]["type"] == "WorkerLost"
    await assert_verified(fleet.backend)


@pytest.mark.chaos
async def test_a_neighbour_of_a_job_that_kills_its_workers_completes(fleet: Fleet) -> None:
    handlers = "tests.system.deadly_handlers"
    killer = await fleet.submit("poison.later", payload=2)
    neighbours = [await fleet.submit("neighbour", payload=12) for _ in range(2)]
    workers = [fleet.start_worker(handlers=handlers)]

    async def ended() -> bool:
        if workers[-1].has_died:
            workers.append(fleet.start_worker(handlers=handlers))
        states = [await fleet.state(job_id) for job_id in (killer, *neighbours)]
        return all(state is not None and state.is_terminal for state in states)

    await eventually("the end of killer and neighbours", ended, seconds=8 * (LEASE_SECONDS + 20))
    history = await fleet.history(killer)
    assert history[-1].data["error"]["type"] == "WorkerLost"
    assert [event.status for event in history].count("Started") == 6
    for job_id in neighbours:
        statuses = await fleet.statuses(job_id)
        assert statuses[-1] == "Completed"
        assert statuses.count("Started") <= 3
    await assert_verified(fleet.backend)


def _has_logged(worker: WorkerProcess, event: str) -> Callable[[], Awaitable[bool]]:
    async def logged() -> bool:
        return event in worker.log

    return logged
