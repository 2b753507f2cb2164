"""Jobs that must not run twice end when their worker is lost or stops."""

import asyncio
from typing import Any

import pytest

from jobfleet_contracts.lease import job_lock
from jobfleet_contracts.message import JobMessage
from jobfleet_contracts.state import State, Status
from jobfleet_protocol.trail.transitions import Change
from jobfleet_worker import JobContext, handler
from tests.worker.workshop import Workshop

runs: list[int] = []


@pytest.fixture(autouse=True)
def no_runs() -> None:
    runs.clear()


@handler("pay", on_lost="fail")
async def pay(payload: float, context: JobContext) -> None:
    runs.append(context.attempt)
    await context.progress(1)
    await asyncio.sleep(payload)


@handler("count", max_takeovers=1)
async def count(context: JobContext) -> None:
    runs.append(context.attempt)


@handler("plain")
async def plain(payload: float, context: JobContext) -> None:
    runs.append(context.attempt)
    await context.progress(1)
    await asyncio.sleep(payload)


async def lose(workshop: Workshop, job_type: str, most: int, times: int = 1) -> str:
    """Submit a job whose workers were lost so often while they ran it."""
    request = await workshop.submit_unpublished(job_type, 0)
    changes: list[Change] = []
    for number in range(times):
        worker = f"lost-{number}"
        if number:
            changes.append(Change(kind=Status.TAKEN_OVER, continues=True, worker_id=worker))
        started: dict[str, Any] = {"lock": job_lock(request.job_id), "worker_id": worker}
        changes.append(Change(kind=Status.STARTED, max_takeovers=most, **started))
    await workshop.append(request.job_id, *changes)
    await workshop.real.queue.publish(JobMessage(request=request))
    return request.job_id


async def test_a_job_that_must_not_run_twice_fails_when_its_worker_was_lost(
    workshop: Workshop,
) -> None:
    workshop.start_worker(pay)
    job_id = await lose(workshop, "pay", most=0)
    head = await workshop.until_ended(job_id)
    assert head.data["error"]["type"] == "WorkerLost"
    assert "what it did is not known" in head.message
    assert await workshop.statuses(job_id) == ["Queued", "Started", "TakenOver", "Failed"]
    assert runs == []


async def test_the_row_of_the_claim_decides_and_not_the_handler_of_who_takes_over(
    workshop: Workshop,
) -> None:
    @handler("pay", on_lost="retry")
    async def changed(payload: float) -> None:
        raise AssertionError("it ran twice")

    workshop.start_worker(changed, plain)
    job_id = await lose(workshop, "pay", most=0)
    assert (await workshop.until_ended(job_id)).after.state is State.FAILED
    other = await lose(workshop, "plain", most=1)
    assert (await workshop.until_ended(other)).after.state is State.COMPLETED


@pytest.mark.parametrize(("times", "state"), [(1, State.COMPLETED), (2, State.FAILED)])
async def test_a_job_survives_as_many_lost_workers_as_its_handler_says(
    workshop: Workshop, times: int, state: State
) -> None:
    workshop.start_worker(count)
    job_id = await lose(workshop, "count", most=1, times=times)
    assert (await workshop.until_ended(job_id)).after.state is state


@pytest.mark.parametrize(
    ("fields", "most"),
    [({}, 0), ({"on_lost": "retry"}, 5), ({"on_lost": "retry", "max_takeovers": 2}, 2)],
)
async def test_the_job_says_so_before_its_handler(
    workshop: Workshop, fields: dict[str, Any], most: int
) -> None:
    workshop.start_worker(pay)
    job_id = await workshop.submit("pay", 0, **fields)
    assert (await workshop.until_ended(job_id)).after.max_takeovers == most


async def test_a_drain_ends_it_as_failed_and_hands_others_back(workshop: Workshop) -> None:
    running = workshop.start_worker(pay, plain, drain_seconds=0.1)
    paid, other = await workshop.submit("pay", 60), await workshop.submit("plain", 60)
    for each in (paid, other):
        await workshop.until_state(each, State.RUNNING)
    await running.stop()
    head = await workshop.until_state(paid, State.FAILED)
    assert head.data["error"]["type"] == "WorkerStopped"
    assert (await workshop.head(other)).after.state is State.DEFERRED


async def test_a_drain_that_the_job_outruns_changes_nothing(workshop: Workshop) -> None:
    running = workshop.start_worker(pay, drain_seconds=20)
    job_id = await workshop.submit("pay", 0.5)
    await workshop.until_state(job_id, State.RUNNING)
    await running.stop()
    assert (await workshop.head(job_id)).after.state is State.COMPLETED
