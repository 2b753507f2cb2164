"""Progress and checkpoints: what of them is in the trail, and who finds it again."""

import asyncio
import time
from itertools import pairwise
from typing import Any

import pytest

from jobfleet_contracts.event import Event
from jobfleet_contracts.state import State
from jobfleet_worker import BlockingJobContext, JobContext, handler
from jobfleet_worker.run.attempt_inputs import AttemptInputs
from tests.polling import eventually
from tests.protocol.steered_clock import SteeredClock
from tests.worker.workshop import LEASE_SECONDS, Workshop


async def steps_of(workshop: Workshop, job_id: str) -> list[Event]:
    return [e for e in await workshop.history(job_id) if e.status.startswith("Step")]


async def test_the_first_step_is_in_the_trail_when_progress_returns(workshop: Workshop) -> None:
    @handler("job")
    async def work(payload: None, context: JobContext) -> bool:
        await context.progress(1, 2, "begun")
        return "Step 1" in await workshop.statuses(context.job.job_id)

    workshop.start_worker(work)
    assert (await workshop.run("job")).data["result"] is True


async def test_ten_thousand_steps_a_second_stay_within_twenty_rows_a_second(
    workshop: Workshop,
) -> None:
    @handler("job")
    async def work(payload: None, context: JobContext) -> None:
        until = time.monotonic() + 2.5
        for step in range(1, 25_001):
            await context.progress(step, 25_000)
            if step % 100 == 0:
                await asyncio.sleep(0.01)
        await asyncio.sleep(max(0, until - time.monotonic()))

    workshop.start_worker(work)
    head = await workshop.run("job")
    steps = await steps_of(workshop, head.job_id)
    assert_rate(steps)
    assert steps[-1].data == {"step": 25_000, "of": 25_000} | steps[-1].data
    assert len(steps) + sum(e.data.get("skipped", 0) for e in steps) == 25_000


def assert_rate(steps: list[Event]) -> None:
    """At most twenty rows in a write, and a second between two writes but for the last."""
    writes: list[list[Event]] = []
    for step in steps:
        near = writes and (step.occurred_at - writes[-1][-1].occurred_at).total_seconds() < 0.05
        if near:
            writes[-1].append(step)
        else:
            writes.append([step])
    assert all(len(rows) <= 20 for rows in writes)
    for before, after in pairwise(writes[:-1]):
        assert (after[0].occurred_at - before[0].occurred_at).total_seconds() > 0.9


async def test_the_last_step_before_the_end_is_never_lost(workshop: Workshop) -> None:
    @handler("job", max_attempts=1)
    async def work(payload: str, context: JobContext) -> None:
        await context.progress(1)
        await context.progress(2, message="the last")
        if payload == "raise":
            raise ValueError("after it")

    workshop.start_worker(work)
    for payload in ("return", "raise"):
        head = await workshop.run("job", payload)
        steps = await steps_of(workshop, head.job_id)
        assert [(e.status, e.message) for e in steps] == [
            ("Step 1", "1"),
            ("Step 2", "2 the last"),
        ]


async def test_a_thread_reports_without_waiting_for_each_write(workshop: Workshop) -> None:
    @handler("job")
    def work(payload: None, context: BlockingJobContext) -> float:
        began = time.monotonic()
        for step in range(1, 501):
            context.progress(step, 500)
        return time.monotonic() - began

    workshop.start_worker(work)
    head = await workshop.run("job")
    assert head.data["result"] < 5
    steps = await steps_of(workshop, head.job_id)
    assert steps[-1].status == "Step 500"
    assert len(steps) <= 21 * (1 + int(head.data["result"]))


@pytest.mark.parametrize("step", ["one", 1.5, None, {1}, -1, 2**70])
async def test_a_step_that_is_no_count_raises_in_the_handler(workshop: Workshop, step: Any) -> None:
    @handler("job", max_attempts=1)
    async def work(payload: None, context: JobContext) -> str:
        await context.progress(1)
        try:
            await context.progress(step)
        except (TypeError, ValueError) as error:
            return str(error)
        return "accepted"

    workshop.start_worker(work)
    assert "progress: step must be a" in (await workshop.run("job")).data["result"]


async def test_an_event_message_is_cut_with_a_mark(workshop: Workshop) -> None:
    @handler("job")
    async def work(payload: None, context: JobContext) -> None:
        await context.progress(1, None, "x" * 10_000)

    workshop.start_worker(work)
    head = await workshop.run("job")
    (step,) = await steps_of(workshop, head.job_id)
    assert len(step.message) <= 4_000
    assert step.message.endswith("characters cut]")


async def test_payload_checkpoint_and_result_over_30000_characters_come_back_whole(
    workshop: Workshop,
) -> None:
    large = "ü" * 200_000

    @handler("job")
    async def work(payload: str, context: JobContext) -> dict[str, Any]:
        if context.attempt == 1:
            await context.checkpoint([payload, "kept"])
            raise OSError("once more")
        return {"same": context.last_checkpoint == [payload, "kept"], "payload": payload}

    workshop.start_worker(work)
    head = await workshop.run("job", large)
    assert head.data["result"] == {"same": True, "payload": large}
    stored = await workshop.history(head.job_id)
    assert [set(e.data) for e in stored if e.status in ("Queued", "Completed")] == [
        {"blob", "size"}
    ] * 2
    names = [e.data["blob"] for e in stored if "blob" in e.data]
    assert len(set(names)) == len(names)


@handler("resume", max_attempts=2)
async def resume(payload: str, context: JobContext) -> Any:
    """Keeps a checkpoint in its first run, and tells in the next what it found."""
    if context.epoch == 1:
        await context.checkpoint({"at": 7})
        if payload == "retry":
            raise OSError("once more")
        await asyncio.Event().wait()
    return context.last_checkpoint


async def test_a_checkpoint_survives_a_retry(workshop: Workshop) -> None:
    workshop.start_worker(resume)
    assert (await workshop.run("resume", "retry")).data["result"] == {"at": 7}


async def test_a_checkpoint_survives_a_takeover(workshop: Workshop, clock: SteeredClock) -> None:
    workshop.start_worker(resume)
    job_id = await workshop.submit("resume", "hang")

    async def kept() -> bool:
        return "Step 0" in await workshop.statuses(job_id)

    await eventually("the checkpoint stands", kept)
    workshop.start_worker(resume)
    clock.advance(LEASE_SECONDS * 2)
    head = await workshop.until_ended(job_id)
    assert "TakenOver" in await workshop.statuses(job_id)
    assert head.data["result"] == {"at": 7}


async def test_a_checkpoint_does_not_survive_a_redrive(workshop: Workshop) -> None:
    @handler("job", max_attempts=1)
    async def work(payload: None, context: JobContext) -> Any:
        if context.facts.incarnation == 1:
            await context.checkpoint(1)
            raise OSError("over")
        return context.last_checkpoint

    workshop.start_worker(work)
    job_id = await workshop.submit("job")
    await workshop.until_state(job_id, State.FAILED)
    await workshop.redriver.redrive(job_id, by="a test")
    head = await workshop.until_state(job_id, State.COMPLETED)
    assert head.data["result"] is None


async def test_a_checkpoint_of_none_takes_the_older_one_back(workshop: Workshop) -> None:
    @handler("job")
    async def work(payload: None, context: JobContext) -> Any:
        if context.attempt == 1:
            await context.checkpoint("old")
            await context.checkpoint(None)
            raise OSError("once more")
        return context.last_checkpoint

    workshop.start_worker(work)
    assert (await workshop.run("job")).data["result"] is None


async def test_storage_in_trouble_while_the_checkpoint_is_read_costs_no_attempt(
    workshop: Workshop,
) -> None:
    @handler("job", max_attempts=2)
    async def work(payload: None, context: JobContext) -> Any:
        if context.attempt == 1:
            await context.checkpoint("kept")
            workshop.trail.lose_request("history", times=3)
            raise OSError("once more")
        return context.last_checkpoint

    workshop.start_worker(work)
    assert (await workshop.run("job")).data["result"] == "kept"


async def test_a_checkpoint_that_took_long_to_read_leaves_the_handler_its_whole_time(
    workshop: Workshop, clock: SteeredClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    @handler("job", max_attempts=2)
    async def work(payload: None, context: JobContext) -> int:
        if context.attempt == 1:
            raise ValueError("once more")
        await asyncio.sleep(0.7)
        return context.epoch

    async def slow(_: AttemptInputs, head: Event) -> None:
        clock.advance(10 * (head.after.epoch - 1))

    monkeypatch.setattr(AttemptInputs, "last_checkpoint", slow)
    workshop.start_worker(work, lease_seconds=60, renew_seconds=20)
    assert (await workshop.run("job", timeout_seconds=3)).data["result"] == 2
