"""Redrive and dismissal of jobs that ended badly."""

import asyncio

import pytest

from jobfleet_contracts.errors import ActionRefused, BackendUnavailable, UnknownJob
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.job_id import new_id
from jobfleet_contracts.state import State
from tests.protocol.bench import Bench


async def dead(bench: Bench, status: str = "Failed") -> JobRequest:
    claimed = await bench.claimed(await bench.submit())
    await bench.end(claimed, status)
    await bench.messages()
    await bench.real.index.close(claimed.request.job_id, 1)
    return claimed.request


@pytest.mark.parametrize("status", ["Failed", "TimedOut", "Cancelled"])
async def test_a_redriven_job_starts_anew_with_its_epoch_going_on(
    bench: Bench, status: str
) -> None:
    request = await dead(bench, status)
    assert await bench.redriver.redrive(request.job_id, by="ann") is State.QUEUED
    after = (await bench.head(request.job_id)).after
    assert (after.incarnation, after.epoch, after.attempt, after.attempts_used) == (2, 1, 0, 0)
    (message,) = await bench.messages()
    assert message.sequence == after.sequence
    (row,) = await bench.open_rows()
    assert (row.incarnation, row.published) == (2, after.sequence)
    claimed = await bench.claimed(request, "w2")
    assert claimed.trail.head.after.epoch == 2


async def test_only_jobs_that_ended_badly_are_redriven(bench: Bench) -> None:
    request = await bench.submit()
    with pytest.raises(ActionRefused, match="queued"):
        await bench.redriver.redrive(request.job_id, by=None)
    claimed = await bench.claimed(request)
    await bench.end(claimed)
    with pytest.raises(ActionRefused, match="completed"):
        await bench.redriver.redrive(request.job_id, by=None)
    with pytest.raises(UnknownJob):
        await bench.redriver.redrive(new_id(), by=None)


async def test_of_several_redrives_at_once_one_counts(bench: Bench) -> None:
    request = await dead(bench)
    answers = await asyncio.gather(
        *(bench.redriver.redrive(request.job_id, by=None) for _ in range(5)),
        return_exceptions=True,
    )
    assert answers.count(State.QUEUED) == 1
    assert (await bench.statuses(request.job_id)).count("Redriven") == 1


async def test_without_an_open_row_no_incarnation_begins(bench: Bench) -> None:
    request = await dead(bench)
    bench.index.lose_request("open")
    with pytest.raises(BackendUnavailable):
        await bench.redriver.redrive(request.job_id, by=None)
    assert (await bench.head(request.job_id)).status == "Failed"


@pytest.mark.parametrize("lost", ["lose_request", "lose_reply"])
async def test_a_broker_in_trouble_does_not_refuse_a_redrive(bench: Bench, lost: str) -> None:
    request = await dead(bench)
    getattr(bench.queue, lost)("publish")
    assert await bench.redriver.redrive(request.job_id, by=None) is State.QUEUED
    (row,) = await bench.open_rows()
    assert (row.incarnation, row.published) == (2, 0)


async def test_a_dismissed_job_stays_ended_and_is_dismissed_once(bench: Bench) -> None:
    request = await dead(bench)
    assert await bench.redriver.dismiss(request.job_id, by="ann") is State.FAILED
    head = await bench.head(request.job_id)
    assert head.after.dismissed
    assert head.data == {"by": "ann"}
    with pytest.raises(ActionRefused):
        await bench.redriver.dismiss(request.job_id, by="ann")


async def test_a_dismissed_job_may_still_be_redriven(bench: Bench) -> None:
    request = await dead(bench)
    await bench.redriver.dismiss(request.job_id, by=None)
    assert await bench.redriver.redrive(request.job_id, by=None) is State.QUEUED
    assert not (await bench.head(request.job_id)).after.dismissed


async def test_only_dead_jobs_are_dismissed(bench: Bench) -> None:
    request = await bench.submit()
    with pytest.raises(ActionRefused):
        await bench.redriver.dismiss(request.job_id, by=None)
    await bench.canceller.cancel(request.job_id, by=None)
    with pytest.raises(ActionRefused):
        await bench.redriver.dismiss(request.job_id, by=None)


@pytest.mark.parametrize(("verb", "written"), [("redrive", "Redriven"), ("dismiss", "Dismissed")])
async def test_a_silent_trail_is_answered_in_time_and_the_action_stands_once(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, verb: str, written: str
) -> None:
    monkeypatch.setattr("jobfleet_protocol.actions.answer_limit.ANSWER_SECONDS", 0.2)
    request = await dead(bench)
    bench.trail.lose_request("insert", times=4)
    ask = getattr(bench.redriver, verb)
    with pytest.raises(BackendUnavailable, match="now or later"):
        await ask(request.job_id, by="ann")
    async with asyncio.timeout(60):
        while (await bench.head(request.job_id)).status != written:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    with pytest.raises(ActionRefused):
        await ask(request.job_id, by="ann")
    assert (await bench.statuses(request.job_id)).count(written) == 1
