"""A cancel request: how fast it reaches whatever the job is doing, and what it beats."""

import asyncio
import os
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from jobfleet_contracts.errors import ActionRefused, UnknownJob
from jobfleet_contracts.job_id import new_id
from jobfleet_contracts.state import State
from jobfleet_worker import BlockingJobContext, Defer, JobContext, handler
from tests.polling import eventually
from tests.worker import process_handlers
from tests.worker.workshop import Workshop


@handler("async")
async def wait_for_ever(payload: None, context: JobContext) -> None:
    await context.progress(1)
    await asyncio.Event().wait()


@handler("thread")
def look_now_and_then(payload: None, context: BlockingJobContext) -> str:
    context.progress(1)
    while not context.cancelled:
        time.sleep(0.01)
    return "stopped early"


@handler("blocking")
async def swallow(payload: None, context: JobContext) -> None:
    await context.progress(1)
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.sleep(1.5)
            return


async def until_running(workshop: Workshop, job_id: str) -> None:
    async def reported() -> bool:
        return "Step 1" in await workshop.statuses(job_id)

    await eventually("the handler runs", reported)


async def cancelled_after(workshop: Workshop, job_id: str) -> float:
    began = time.monotonic()
    assert await workshop.canceller.cancel(job_id, by="ann", reason="a test") == State.RUNNING
    head = await workshop.until_ended(job_id)
    assert head.after.state is State.CANCELLED
    return time.monotonic() - began


@pytest.mark.parametrize("job_type", ["async", "thread"])
async def test_a_running_handler_ends_within_a_second_of_the_control_message(
    workshop: Workshop, job_type: str
) -> None:
    workshop.start_worker(wait_for_ever, look_now_and_then, renew_seconds=30, lease_seconds=60)
    job_id = await workshop.submit(job_type)
    await until_running(workshop, job_id)
    assert await cancelled_after(workshop, job_id) < 1
    requested = (await workshop.history(job_id))[-2]
    assert requested.status == "CancelRequested"
    assert requested.data == {"by": "ann", "reason": "a test"}


async def test_a_process_is_killed_even_if_it_ignores_the_request(
    workshop: Workshop, tmp_path: Path
) -> None:
    workshop.start_worker(process_handlers.stubborn)
    job_id = await workshop.submit("process.stubborn", str(tmp_path / "pid"))
    await until_running(workshop, job_id)
    pid = int((tmp_path / "pid").read_text())
    assert await cancelled_after(workshop, job_id) < 2
    head = await workshop.head(job_id)
    assert "left behind" not in head.message
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_with_the_control_message_lost_the_next_renewal_brings_the_request(
    workshop: Workshop,
) -> None:
    workshop.start_worker(wait_for_ever)
    job_id = await workshop.submit("async")
    await until_running(workshop, job_id)
    workshop.control.lose_request("send_cancel")
    assert await cancelled_after(workshop, job_id) < 2.5


async def test_a_message_that_comes_before_the_claim_is_known_is_not_lost(
    workshop: Workshop,
) -> None:
    running = workshop.start_worker(wait_for_ever, renew_seconds=30, lease_seconds=60)
    job_id = new_id()
    running.worker.executor.note_cancel(job_id)

    async def request() -> None:
        await workshop.canceller.cancel(job_id, by=None)

    workshop.control.lose_request("send_cancel")
    workshop.trail.lose_reply("insert")  # Started: the worker has to look whether it stands
    workshop.trail.before("read", request)
    await workshop.submit("async", job_id=job_id)
    assert (await workshop.until_ended(job_id, seconds=5)).after.state is State.CANCELLED


async def test_a_thread_that_ignores_the_request_is_left_behind_and_keeps_its_slot(
    workshop: Workshop,
) -> None:
    let_go = threading.Event()

    @handler("deaf")
    def deaf(payload: None, context: BlockingJobContext) -> None:
        context.progress(1)
        let_go.wait(20)

    workshop.start_worker(deaf, concurrency=1)
    job_id = await workshop.submit("deaf")
    await until_running(workshop, job_id)
    await cancelled_after(workshop, job_id)
    assert "left behind" in (await workshop.head(job_id)).message
    other = await workshop.submit("demo.steps", {"steps": 1, "stepSeconds": 0})
    await asyncio.sleep(0.5)  # a free slot would take the job in this time
    assert (await workshop.head(other)).status == "Queued"
    let_go.set()
    assert (await workshop.until_ended(other)).status == "Completed"


async def test_a_coroutine_that_swallows_its_cancellation_is_left_behind(
    workshop: Workshop,
) -> None:
    workshop.start_worker(swallow)
    job_id = await workshop.submit("blocking")
    await until_running(workshop, job_id)
    workshop.control.lose_request("send_cancel", times=0)
    assert await cancelled_after(workshop, job_id) < 2
    head = await workshop.head(job_id)
    assert "left behind" in head.message


async def test_jobs_that_nobody_runs_are_cancelled_at_once(workshop: Workshop) -> None:
    queued = await workshop.submit("async")
    later = datetime.now(UTC) + timedelta(hours=2)
    scheduled = await workshop.submit("async", run_at=later)
    for job_id in (queued, scheduled):
        assert await workshop.canceller.cancel(job_id, by="ann") == State.CANCELLED
        assert (await workshop.head(job_id)).message == "cancelled by ann"
    workshop.start_worker(wait_for_ever)
    await asyncio.sleep(0.3)  # the worker would take a job in this time
    assert await workshop.statuses(queued) == ["Queued", "Cancelled"]
    assert (await workshop.real.reader.open_rows()).items == []


async def test_retrying_and_deferred_jobs_are_cancelled_at_once(workshop: Workshop) -> None:
    @handler("put.off")
    async def put_off(payload: str) -> None:
        raise Defer(60) if payload == "defer" else OSError("again")

    workshop.start_worker(put_off)
    deferred = await workshop.submit("put.off", "defer")
    retrying = await workshop.submit("put.off", "retry", retry_delay_seconds=60)
    for job_id, state in ((deferred, State.DEFERRED), (retrying, State.RETRYING)):
        await workshop.until_state(job_id, state)
        assert await workshop.canceller.cancel(job_id, by=None) == State.CANCELLED


async def test_a_cancel_request_beats_a_retry(workshop: Workshop) -> None:
    @handler("job", max_attempts=5)
    async def fails_when_told_to_stop(payload: None, context: JobContext) -> None:
        await context.progress(1)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise OSError("worth another attempt") from None

    workshop.start_worker(fails_when_told_to_stop)
    job_id = await workshop.submit("job")
    await until_running(workshop, job_id)
    await cancelled_after(workshop, job_id)
    assert "RetryScheduled" not in await workshop.statuses(job_id)


async def test_a_job_that_finishes_in_spite_of_the_request_is_completed(
    workshop: Workshop,
) -> None:
    @handler("job")
    async def finish_first(payload: None, context: JobContext) -> str:
        await context.progress(1)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "done in spite of it"
        return "never"

    workshop.start_worker(finish_first)
    job_id = await workshop.submit("job")
    await until_running(workshop, job_id)
    await workshop.canceller.cancel(job_id, by=None)
    head = await workshop.until_ended(job_id)
    assert head.data["result"] == "done in spite of it"


async def test_a_job_that_has_ended_cannot_be_cancelled(workshop: Workshop) -> None:
    workshop.start_worker()
    head = await workshop.run("demo.steps", {"steps": 1, "stepSeconds": 0})
    with pytest.raises(ActionRefused, match="completed already"):
        await workshop.canceller.cancel(head.job_id, by=None)
    with pytest.raises(UnknownJob):
        await workshop.canceller.cancel(new_id(), by=None)


async def test_a_cancel_during_a_progress_write_fences_no_valid_worker(
    workshop: Workshop,
) -> None:
    @handler("job")
    async def work(payload: None, context: JobContext) -> None:
        async def request() -> None:
            await workshop.canceller.cancel(context.job.job_id, by="ann")

        workshop.trail.before("insert", request)
        await context.progress(1, 2, "written beside the request")
        await asyncio.Event().wait()

    workshop.start_worker(work)
    head = await workshop.until_ended(await workshop.submit("job"))
    assert await workshop.statuses(head.job_id) == [
        "Queued",
        "Started",
        "CancelRequested",
        "Step 1",
        "Cancelled",
    ]
