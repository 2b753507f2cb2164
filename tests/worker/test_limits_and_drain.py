"""Time limits of attempts, and a worker that is told to stop."""

import asyncio
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from jobfleet_contracts.state import State
from jobfleet_worker import BlockingJobContext, JobContext, handler
from jobfleet_worker.processes.pool import WarmProcess
from tests.polling import eventually
from tests.worker import process_handlers
from tests.worker.processes import is_alive
from tests.worker.test_cancelling import look_now_and_then, until_running, wait_for_ever
from tests.worker.workshop import OPTIONS, Workshop


async def test_each_attempt_has_the_whole_limit_and_the_last_one_ends_timed_out(
    workshop: Workshop,
) -> None:
    workshop.start_worker(wait_for_ever)
    head = await workshop.run("async", max_attempts=2, timeout_seconds=0.3)
    assert head.after.state is State.TIMED_OUT
    assert head.data["error"]["type"] == "TimedOut"
    durations = [
        e.duration_ms
        for e in await workshop.history(head.job_id)
        if e.status in ("AttemptFailed", "TimedOut")
    ]
    assert all(d is not None and 290 <= d < 1500 for d in durations)
    assert len(durations) == 2


async def test_a_process_over_its_limit_is_killed(workshop: Workshop, tmp_path: Path) -> None:
    workshop.start_worker(process_handlers.stubborn)
    pid = str(tmp_path / "pid")
    head = await workshop.run("process.stubborn", pid, max_attempts=1, timeout_seconds=1.5)
    assert head.after.state is State.TIMED_OUT
    assert "left behind" not in head.message


async def test_the_end_of_a_process_is_waited_for_though_a_busy_machine_is_slow_to_kill_it(
    workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kill = WarmProcess.kill
    monkeypatch.setattr(WarmProcess, "kill", lambda self: threading.Timer(2, kill, [self]).start())
    workshop.start_worker(process_handlers.stubborn)
    pid = tmp_path / "pid"
    head = await workshop.run("process.stubborn", str(pid), max_attempts=1, timeout_seconds=1.5)
    assert head.after.state is State.TIMED_OUT
    assert "left behind" not in head.message
    assert not is_alive(int(pid.read_text()))


async def test_what_a_thread_returns_after_it_saw_its_limit_is_no_result(
    workshop: Workshop,
) -> None:
    workshop.start_worker(look_now_and_then)
    head = await workshop.run("thread", max_attempts=1, timeout_seconds=0.2)
    assert head.after.state is State.TIMED_OUT


async def test_an_abandoned_attempt_that_ends_late_leaves_its_successor_alone(
    workshop: Workshop,
) -> None:
    let_go = threading.Event()

    @handler("deaf", max_attempts=2)
    def deaf_at_first(payload: None, context: BlockingJobContext) -> str:
        context.progress(1)
        if context.attempt == 1:
            let_go.wait(20)
            context.progress(2, None, "of an abandoned attempt")
            return "too late"
        while not context.cancelled:
            time.sleep(0.01)
        raise RuntimeError("told to stop")

    running = workshop.start_worker(deaf_at_first, renew_seconds=30, lease_seconds=60)
    job_id = await workshop.submit("deaf", timeout_seconds=1)

    async def second_attempt() -> bool:
        head = await workshop.head(job_id)
        return head.after.attempt == 2 and job_id in running.worker.executor.running

    await eventually("the second attempt", second_attempt)
    execution = running.worker.executor.running[job_id]
    let_go.set()
    await asyncio.sleep(0.2)  # the abandoned one ends in this time
    assert running.worker.executor.running[job_id] is execution
    await workshop.canceller.cancel(job_id, by=None)
    await workshop.until_state(job_id, State.CANCELLED, State.TIMED_OUT)
    messages = [event.message for event in await workshop.history(job_id)]
    assert not any("of an abandoned attempt" in message for message in messages)
    assert any("left behind" in message for message in messages)


async def test_a_drained_worker_lets_its_jobs_finish(workshop: Workshop) -> None:
    running = workshop.start_worker()
    job_id = await workshop.submit("demo.steps", {"steps": 2, "stepSeconds": 0.4})
    await until_running(workshop, job_id)
    assert await running.stop() < 4
    assert (await workshop.head(job_id)).status == "Completed"
    assert await workshop.real.directory.workers() == []


@pytest.mark.parametrize("job_type", ["async", "thread"])
async def test_what_does_not_finish_in_time_is_handed_back_without_using_an_attempt(
    workshop: Workshop, job_type: str
) -> None:
    running = workshop.start_worker(wait_for_ever, look_now_and_then, drain_seconds=0.2)
    job_id = await workshop.submit(job_type, max_attempts=1)
    await until_running(workshop, job_id)
    assert await running.stop() < 4
    head = await workshop.head(job_id)
    assert (head.status, head.message) == ("Deferred", "worker is shutting down")
    assert head.after.attempts_used == 0
    (depth,) = [d for d in await workshop.real.queue.depths() if d.lane == "normal"]
    assert depth.ready == 1


async def test_a_process_is_handed_back_too(workshop: Workshop, tmp_path: Path) -> None:
    running = workshop.start_worker(process_handlers.stubborn, drain_seconds=0.1)
    job_id = await workshop.submit("process.stubborn", str(tmp_path / "pid"))
    await until_running(workshop, job_id)
    await running.stop()
    assert (await workshop.head(job_id)).status == "Deferred"


async def test_a_deaf_thread_does_not_hold_up_the_stop(workshop: Workshop) -> None:
    let_go = threading.Event()

    @handler("deaf")
    def deaf(payload: None, context: BlockingJobContext) -> None:
        context.progress(1)
        let_go.wait(60)

    running = workshop.start_worker(deaf, drain_seconds=0.1)
    job_id = await workshop.submit("deaf")
    await until_running(workshop, job_id)
    assert await running.stop() < 5
    head = await workshop.head(job_id)
    let_go.set()
    assert head.status == "Deferred"
    assert "left behind" in head.message


async def test_a_thread_that_was_left_behind_before_does_not_hold_up_the_stop(
    workshop: Workshop,
) -> None:
    let_go = threading.Event()

    @handler("deaf", max_attempts=1)
    def deaf(payload: None) -> None:
        let_go.wait(60)

    running = workshop.start_worker(deaf)
    head = await workshop.run("deaf", timeout_seconds=0.1)
    took = await running.stop()
    let_go.set()
    assert "left behind" in head.message
    assert took < OPTIONS.drain_seconds


async def test_a_job_claimed_while_the_worker_hands_back_is_handed_back(
    workshop: Workshop,
) -> None:
    ran: list[Any] = []

    @handler("job")
    async def work(payload: None, context: JobContext) -> None:
        ran.append(context.job.job_id)
        await asyncio.Event().wait()

    running = workshop.start_worker(work, drain_seconds=0.1)
    running.worker.executor.stop_all()
    job_id = await workshop.submit("job")
    head = await workshop.until_state(job_id, State.DEFERRED)
    assert head.message == "worker is shutting down"
    assert ran == []
    await running.stop()


async def test_another_worker_goes_on_with_what_was_handed_back(workshop: Workshop) -> None:
    running = workshop.start_worker(drain_seconds=0.1)
    job_id = await workshop.submit("demo.steps", {"steps": 3, "stepSeconds": 0.3}, max_attempts=1)
    await until_running(workshop, job_id)
    await running.stop()
    workshop.start_worker()
    head = await workshop.until_ended(job_id)
    assert head.status == "Completed"
    assert head.after.attempt == 1
