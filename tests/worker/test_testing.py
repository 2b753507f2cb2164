"""``jobfleet_worker.testing``: handlers in a user's unit tests."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from jobfleet_contracts.errors import InvalidRequest
from jobfleet_contracts.outcome import AttemptTimedOut, CancelledByRequest, Deferred
from jobfleet_worker import BlockingJobContext, Defer, Fail, JobContext, Retry, handler
from jobfleet_worker.testing import Step, run_handler, run_handler_sync
from tests.worker.process_handlers import echo


class Letters(BaseModel):
    to: list[str]


@dataclass
class Visit:
    address: str


@handler("letters.send")
async def send(payload: Letters, context: JobContext) -> dict[str, int]:
    begin = context.last_checkpoint or 0
    for number in range(begin + 1, len(payload.to) + 1):
        await context.checkpoint(number)
        await context.progress(number, len(payload.to), payload.to[number - 1])
    return {"sent": len(payload.to) - begin}


async def test_a_run_shows_result_steps_and_checkpoints() -> None:
    run = await run_handler(send, {"to": ["ada", "alan"]})
    assert run.result == {"sent": 2}
    assert run.checkpoints == [1, 2]
    assert run.steps == [Step(1, 2, "ada"), Step(2, 2, "alan")]


async def test_a_later_attempt_goes_on_behind_the_checkpoint() -> None:
    run = await run_handler(send, Letters(to=["ada", "alan"]), attempt=2, last_checkpoint=1)
    assert run.result == {"sent": 1}


async def test_a_payload_that_does_not_fit_fails_for_good_and_names_the_field() -> None:
    run = await run_handler(send, {"to": "ada"})
    assert run.error is not None
    assert "payload.to" in run.error.message
    assert not run.will_retry


async def test_a_payload_that_is_no_json_cannot_be_submitted() -> None:
    with pytest.raises(InvalidRequest, match="payload"):
        await run_handler(send, {"to": float("nan")})


async def test_a_plain_function_runs_in_a_thread_and_knows_its_attempt() -> None:
    def visit(payload: Visit, context: BlockingJobContext) -> str:
        context.progress(1, None, "on the way")
        context.checkpoint({"at": payload.address})
        return f"{payload.address} {context.attempt} {context.epoch} {context.request['route']}"

    run = await run_handler(visit, Visit("home"), attempt=2, epoch=7, request={"route": "a"})
    assert run.result == "home 2 7 a"
    assert run.checkpoints == [{"at": "home"}]


async def test_a_process_handler_runs_in_a_process() -> None:
    run = await run_handler(echo, [1, 2], last_checkpoint={"seen": 0})
    assert run.result["payload"] == [1, 2]
    assert run.result["last"] == {"seen": 0}
    assert run.checkpoints == [{"seen": [1, 2]}]


@pytest.mark.parametrize(
    ("verdict", "will_retry"),
    [(Retry("later", after=3), True), (Fail("never"), False), (ValueError("oh"), True)],
)
async def test_what_a_handler_raises_is_judged_as_in_a_worker(
    verdict: Exception, will_retry: bool
) -> None:
    async def refuse() -> None:
        raise verdict

    run = await run_handler(refuse)
    assert run.will_retry is will_retry
    assert run.error is not None
    assert run.error.type == type(verdict).__name__
    with pytest.raises(AssertionError, match="did not complete"):
        _ = run.result


@pytest.mark.parametrize(("attempt", "will_retry"), [(1, True), (2, True), (3, False), (4, False)])
async def test_after_the_last_attempt_there_is_no_retry(attempt: int, will_retry: bool) -> None:
    async def fail() -> None:
        raise Retry("again")

    async def hang() -> None:
        await asyncio.Event().wait()

    assert (await run_handler(fail, attempt=attempt)).will_retry is will_retry
    assert (await run_handler(hang, attempt=attempt, timeout=0.05)).will_retry is will_retry
    assert (await run_handler(fail, attempt=attempt, max_attempts=9)).will_retry
    declared = handler("once", max_attempts=attempt)(fail)
    assert not (await run_handler(declared, attempt=attempt)).will_retry


@pytest.mark.parametrize("step", [-1, 2**53, 1.5, "1"])
async def test_a_step_that_a_worker_refuses_is_refused_in_a_test(step: Any) -> None:
    def work(context: BlockingJobContext) -> None:
        context.progress(step)

    run = await run_handler(work)
    assert run.error is not None
    assert run.error.type in ("TypeError", "ValueError")
    assert "progress: step must be a" in run.error.message


async def test_defer_uses_no_attempt() -> None:
    async def later() -> None:
        raise Defer(5, "not now")

    run = await run_handler(later)
    assert run.was_deferred
    assert run.outcome == Deferred(timedelta(seconds=5), "not now")


async def test_a_cancellation_reaches_the_handler_at_the_chosen_step() -> None:
    cleaned_up = False

    async def endless(payload: None, context: JobContext) -> None:
        nonlocal cleaned_up
        try:
            for step in range(1, 1000):
                await context.progress(step)
                await asyncio.sleep(0.001)
        finally:
            cleaned_up = True

    run = await run_handler(endless, cancel_at_step=3)
    assert isinstance(run.outcome, CancelledByRequest)
    assert len(run.steps) < 10
    assert cleaned_up


async def test_the_time_limit_holds() -> None:
    async def hang() -> None:
        await asyncio.Event().wait()

    run = await run_handler(hang, timeout=0.05)
    assert isinstance(run.outcome, AttemptTimedOut)
    assert run.error is not None


def test_without_an_event_loop() -> None:
    def double(payload: int) -> int:
        return 2 * payload

    assert run_handler_sync(double, 21).result == 42


async def test_fields_of_the_job_can_be_given() -> None:
    async def key(payload: None, context: JobContext) -> str | None:
        return context.job.lock_key

    assert (await run_handler(key, lock_key="customer-7")).result == "customer-7"
