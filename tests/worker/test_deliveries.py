"""Each delivery is acknowledged in the end, and never before its job is safe without it."""

import asyncio

import pytest
import structlog

from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.message import JobMessage
from jobfleet_worker import JobContext, handler
from jobfleet_worker.run.consumer import CONSUMER_FAILED, CONSUMER_RECOVERED
from jobfleet_worker.run.executor import Executor
from tests.polling import eventually
from tests.worker.workshop import Workshop


@handler("job")
async def work(payload: float | None, context: JobContext) -> int:
    await context.progress(1)
    await asyncio.sleep(payload or 0)
    return context.epoch


async def nothing_is_left(workshop: Workshop, running: object) -> None:
    async def nothing() -> bool:
        source = running.worker._receiving.source._consumer  # type: ignore[attr-defined]
        return not source._held

    await eventually("every delivery is acknowledged", nothing)


async def test_a_running_job_holds_no_message(workshop: Workshop) -> None:
    running = workshop.start_worker(work)
    job_id = await workshop.submit("job", 1.0)
    await nothing_is_left(workshop, running)
    assert (await workshop.until_ended(job_id)).status == "Completed"


@pytest.mark.parametrize("times", [1, 4])
async def test_an_index_in_trouble_delays_the_acknowledgement_and_loses_it_not(
    workshop: Workshop, times: int
) -> None:
    workshop.index.lose_request("flush", times=times)
    running = workshop.start_worker(work)
    assert (await workshop.run("job")).data["result"] == 1
    await nothing_is_left(workshop, running)


@pytest.mark.parametrize("lost", ["lose_request", "lose_reply"])
async def test_storage_in_trouble_delays_a_claim_and_takes_over_nothing(
    workshop: Workshop, lost: str
) -> None:
    workshop.start_worker(work, rescue_seconds=60)
    getattr(workshop.leases, lost)("acquire", times=3)
    assert (await workshop.run("job")).data["result"] == 1


@pytest.mark.parametrize("error", [None, TypeError("a row that no publisher writes")])
async def test_a_broker_in_trouble_is_told_of_once_and_once_when_it_is_over(
    workshop: Workshop, error: Exception | None
) -> None:
    running = workshop.start_worker(work)
    with structlog.testing.capture_logs() as logs:
        workshop.spoil_source(running).lose_request("receive", times=3, error=error)
        await workshop.run("job")
    events = [entry["event"] for entry in logs if entry["event"].startswith("consumer.")]
    assert events == [CONSUMER_FAILED, CONSUMER_RECOVERED]


async def test_an_error_of_our_own_puts_the_message_off_and_not_away(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobfleet_worker.run.deferral.AFTER_ERROR_SECONDS", 0.3)
    workshop.trail.lose_request("insert", error=RuntimeError("a bug"))
    running = workshop.start_worker(work)
    job_id = await workshop.submit("job")
    assert (await workshop.until_ended(job_id)).status == "Completed"
    await nothing_is_left(workshop, running)


async def test_the_end_of_a_delivery_waits_for_its_acknowledgement_though_the_run_raised(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    has_raised, index_answers = asyncio.Event(), asyncio.Event()

    async def run(*_: object) -> None:
        has_raised.set()
        raise RuntimeError("a bug")

    monkeypatch.setattr(Executor, "run", run)
    workshop.index.before("flush", index_answers.wait)
    running = workshop.start_worker(work)
    await workshop.submit("job")
    await has_raised.wait()
    consumer = running.worker._running.consumer
    consumer.stop()
    finished = asyncio.create_task(consumer.finish())
    done, _ = await asyncio.wait({finished}, timeout=0.5)
    assert not done
    index_answers.set()
    await finished
    await nothing_is_left(workshop, running)


async def test_more_jobs_than_slots_wait_in_the_queue(workshop: Workshop) -> None:
    running = workshop.start_worker(work, concurrency=2)
    job_ids = [await workshop.submit("job", 0.3) for _ in range(8)]
    most = 0

    async def all_ended() -> bool:
        nonlocal most
        held: set[int] = running.worker._receiving.source._consumer._held  # type: ignore[attr-defined]
        most = max(most, len(running.worker.executor.running), len(held))
        heads = [await workshop.head(job_id) for job_id in job_ids]
        return all(head.after.state.is_terminal for head in heads)

    await eventually("all jobs end", all_ended, seconds=120)
    assert most == 2


async def test_a_high_lane_goes_before_a_low_one(workshop: Workshop) -> None:
    low = [await workshop.submit("job", priority=0) for _ in range(3)]
    high = [await workshop.submit("job", priority=9) for _ in range(3)]
    workshop.start_worker(work, concurrency=1)
    ends = {job_id: await workshop.until_ended(job_id) for job_id in (*low, *high)}
    assert max(ends[j].occurred_at for j in high) < min(ends[j].occurred_at for j in low)


async def test_a_late_message_of_an_ended_job_whose_payload_was_removed_takes_no_slot_for_ever(
    workshop: Workshop,
) -> None:
    running = workshop.start_worker(work, concurrency=1)
    request = JobRequest(type="job", context={"notes": "x" * 40_000})
    await workshop.submitter.submit(request)
    await workshop.until_ended(request.job_id)
    await workshop.real.payloads.delete_job(request.job_id)
    await workshop.real.queue.publish(JobMessage(request=request))
    assert (await workshop.run("job")).status == "Completed"
    await nothing_is_left(workshop, running)
