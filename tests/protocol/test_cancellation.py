"""Cancelling from outside: at once where no worker runs the job, else a request."""

import asyncio
from datetime import timedelta

import pytest

from jobfleet_contracts.errors import ActionRefused, BackendUnavailable, InvalidRequest, UnknownJob
from jobfleet_contracts.job_id import new_id
from jobfleet_contracts.state import State
from jobfleet_protocol.claiming.decision import Ended
from tests.protocol.bench import LEASE_SECONDS, Bench


async def test_a_job_that_nobody_runs_ends_at_once_and_its_row_goes(bench: Bench) -> None:
    queued = await bench.submit()
    scheduled = await bench.submit(run_at=bench.clock.now() + timedelta(days=1))
    for request in (queued, scheduled):
        assert await bench.canceller.cancel(request.job_id, by="ann") is State.CANCELLED
    assert await bench.open_rows() == []


async def test_a_running_job_gets_one_request_however_often_it_is_asked(bench: Bench) -> None:
    claimed = await bench.claimed(await bench.submit())
    for _ in range(3):
        state = await bench.canceller.cancel(claimed.request.job_id, by="ann")
        assert state is State.RUNNING
    assert await bench.statuses(claimed.request.job_id) == ["Queued", "Started", "CancelRequested"]
    assert bench.control.calls["send_cancel"] == 3


@pytest.mark.parametrize("reason", ["\x00", "\x1b[31mred", "x" * 1001])
async def test_a_reason_that_no_row_or_terminal_can_hold_is_refused(
    bench: Bench, reason: str
) -> None:
    request = await bench.submit()
    with pytest.raises(InvalidRequest, match="reason"):
        await bench.canceller.cancel(request.job_id, by="ann", reason=reason)
    assert await bench.statuses(request.job_id) == ["Queued"]


async def test_a_waiting_job_is_cancelled_at_once(bench: Bench) -> None:
    claimed = await bench.claimed(await bench.submit())
    await bench.end(claimed, "Waiting", due_at=bench.clock.now() + timedelta(hours=1))
    assert await bench.canceller.cancel(claimed.request.job_id, by=None) is State.CANCELLED


async def test_a_job_that_has_ended_or_is_unknown_is_refused(bench: Bench) -> None:
    claimed = await bench.claimed(await bench.submit())
    await bench.end(claimed)
    with pytest.raises(ActionRefused, match="completed"):
        await bench.canceller.cancel(claimed.request.job_id, by=None)
    with pytest.raises(UnknownJob):
        await bench.canceller.cancel(new_id(), by=None)


async def test_a_claim_that_comes_first_turns_the_end_into_a_request(bench: Bench) -> None:
    request = await bench.submit()

    async def claim() -> None:
        await bench.claimed(request)

    bench.trail.before("insert", claim)
    assert await bench.canceller.cancel(request.job_id, by=None) is State.RUNNING
    assert await bench.statuses(request.job_id) == ["Queued", "Started", "CancelRequested"]


async def test_of_two_at_once_one_ends_the_job_and_the_other_is_refused(bench: Bench) -> None:
    request = await bench.submit()
    answers = await asyncio.gather(
        *(bench.canceller.cancel(request.job_id, by=None) for _ in range(2)),
        return_exceptions=True,
    )
    assert sorted(type(a).__name__ for a in answers) == ["ActionRefused", "State"]


@pytest.mark.parametrize("lost", ["lose_request", "lose_reply"])
async def test_lost_answers_change_nothing(bench: Bench, lost: str) -> None:
    request = await bench.submit()
    getattr(bench.trail, lost)("insert", times=2)
    assert await bench.canceller.cancel(request.job_id, by=None) is State.CANCELLED
    assert await bench.statuses(request.job_id) == ["Queued", "Cancelled"]


async def test_what_follows_the_end_may_fail_without_the_cancel_failing(bench: Bench) -> None:
    """The end is in the trail; the rescuer sees to the rest."""
    request = await bench.submit(callback_url="https://example.org/done")
    bench.index.lose_request("open")
    assert await bench.canceller.cancel(request.job_id, by=None) is State.CANCELLED


async def test_a_request_whose_worker_died_is_answered_by_the_next_claim(bench: Bench) -> None:
    claimed = await bench.claimed(await bench.submit())
    await bench.canceller.cancel(claimed.request.job_id, by="ann")
    bench.clock.advance(LEASE_SECONDS + 1)
    result = await bench.claim(claimed.request, "w2")
    assert isinstance(result, Ended)
    assert result.written
    statuses = await bench.statuses(claimed.request.job_id)
    assert statuses[2:] == ["CancelRequested", "TakenOver", "Cancelled"]


async def test_a_request_does_not_outlive_its_incarnation(bench: Bench) -> None:
    claimed = await bench.claimed(await bench.submit())
    await bench.canceller.cancel(claimed.request.job_id, by=None)
    await bench.end(claimed, "Cancelled")
    await bench.redriver.redrive(claimed.request.job_id, by=None)
    again = await bench.claimed(claimed.request, "w2")
    assert again.trail.head.status == "Started"


async def test_a_silent_trail_is_answered_in_time_and_a_second_cancel_adds_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unclear is no refusal: the event lands later, and asking again meets it."""
    monkeypatch.setattr("jobfleet_protocol.actions.answer_limit.ANSWER_SECONDS", 0.2)
    request = await bench.submit()
    bench.trail.lose_request("insert", times=4)
    unclear = "in time: lost on the way; the cancel may be written, now or later"
    with pytest.raises(BackendUnavailable, match=unclear):
        await bench.canceller.cancel(request.job_id, by="ann")
    async with asyncio.timeout(60):
        while (await bench.head(request.job_id)).status != "Cancelled":  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    with pytest.raises(ActionRefused, match="cancelled already"):
        await bench.canceller.cancel(request.job_id, by="ann")
    assert await bench.statuses(request.job_id) == ["Queued", "Cancelled"]


async def test_a_job_whose_request_was_removed_from_storage_can_be_cancelled(bench: Bench) -> None:
    request = await bench.submit(payload="x" * 40_000)
    await bench.real.payloads.delete_job(request.job_id)
    assert await bench.canceller.cancel(request.job_id, by="ann") is State.CANCELLED
    assert await bench.open_rows() == []
