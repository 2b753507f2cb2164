"""The trail under a claim: written one after the other, until it is closed or fenced."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from jobfleet_contracts.errors import Fenced
from jobfleet_contracts.event import Event
from jobfleet_contracts.state import State, Status
from jobfleet_protocol.claiming.claim_result import Claimed
from jobfleet_protocol.trail.transitions import Change
from tests.protocol.bench import LEASE_SECONDS, Bench


def step(number: int = 1) -> Callable[[Event], list[Change]]:
    return lambda head: [Change(kind=Status.STEP, step=number, worker_id=head.after.worker_id)]


def ending(head: Event) -> list[Change]:
    status = "Cancelled" if head.after.cancel_requested else "Completed"
    return [Change(kind=Status.of(status), worker_id=head.after.worker_id)]


def cancelling(bench: Bench, claimed: Claimed) -> Callable[[], Awaitable[None]]:
    async def cancel() -> None:
        await bench.canceller.cancel(claimed.request.job_id, by="ann")

    return cancel


def taking_over(bench: Bench, claimed: Claimed) -> Callable[[], Awaitable[None]]:
    async def take_over() -> None:
        bench.clock.advance(LEASE_SECONDS + 1)
        await bench.claimed(claimed.request, "w2")

    return take_over


async def test_every_refusal_taken_for_a_fence_would_stop_the_holder_at_a_cancel_request(
    bench: Bench,
) -> None:
    claimed = await bench.claimed(await bench.submit())
    moved: list[Event] = []
    claimed.trail.on_moved = moved.append
    bench.trail.before("insert", cancelling(bench, claimed))
    await claimed.trail.write(step())
    assert (await bench.statuses(claimed.request.job_id))[2:] == ["CancelRequested", "Step 1"]
    assert [event.after.cancel_requested for event in moved] == [True]


async def test_an_outcome_is_decided_anew_on_what_stands_by_then(bench: Bench) -> None:
    claimed = await bench.claimed(await bench.submit())
    bench.trail.before("insert", cancelling(bench, claimed))
    head = await claimed.trail.write(ending, last=True)
    assert head.status == "Cancelled"


async def test_a_newer_epoch_fences_for_good(bench: Bench) -> None:
    claimed = await bench.claimed(await bench.submit())
    bench.trail.before("insert", taking_over(bench, claimed))
    with pytest.raises(Fenced, match="epoch 2"):
        await claimed.trail.write(ending, last=True)
    with pytest.raises(Fenced):
        await claimed.trail.write(step())
    statuses = await bench.statuses(claimed.request.job_id)
    assert statuses == ["Queued", "Started", "TakenOver", "Started"]


async def test_the_same_epoch_under_another_worker_is_not_ones_own(bench: Bench) -> None:
    claimed = await bench.claimed(await bench.submit())
    head = claimed.trail.head
    assert claimed.trail.holds(head)
    other = replace(head, after=replace(head.after, worker_id="w2"))
    assert not claimed.trail.holds(other)
    ended = replace(head, after=replace(head.after, state=State.COMPLETED))
    assert not claimed.trail.holds(ended)


async def test_after_an_ending_nothing_of_the_epoch_can_be_written(bench: Bench) -> None:
    claimed = await bench.claimed(await bench.submit())
    writes = [claimed.trail.write(ending, last=True), claimed.trail.write(step())]
    ended, late = await asyncio.gather(*writes, return_exceptions=True)
    assert isinstance(ended, Event)
    assert isinstance(late, Fenced)
    assert (await bench.statuses(claimed.request.job_id))[-1] == "Completed"


async def test_after_a_refused_ending_another_one_can_be_written(bench: Bench) -> None:
    claimed = await bench.claimed(await bench.submit())
    bench.trail.lose_request("insert", error=ValueError("this row cannot be stored"))
    with pytest.raises(ValueError, match="cannot be stored"):
        await claimed.trail.write(ending, last=True)
    assert not claimed.trail.is_closed
    assert (await claimed.trail.write(ending, last=True)).status == "Completed"
    assert claimed.trail.is_closed


async def test_a_refusal_after_the_ending_stands_writes_no_second_one(bench: Bench) -> None:
    claimed = await bench.claimed(await bench.submit())
    bench.trail.lose_reply("insert", error=ValueError("refused, says a server that is wrong"))
    with pytest.raises(ValueError, match="wrong"):
        await claimed.trail.write(ending, last=True)
    with pytest.raises(Fenced):
        await claimed.trail.write(ending, last=True)
    assert (await bench.statuses(claimed.request.job_id))[2:] == ["Completed"]


async def test_parallel_writes_stand_in_the_order_in_which_they_came(bench: Bench) -> None:
    claimed = await bench.claimed(await bench.submit())
    bench.trail.lose_reply("insert", times=2)
    await asyncio.gather(*(claimed.trail.write(step(n)) for n in range(1, 11)))
    statuses = await bench.statuses(claimed.request.job_id)
    assert statuses[2:] == [f"Step {n}" for n in range(1, 11)]


async def test_a_write_whose_caller_was_cancelled_is_followed_by_the_ending(
    bench: Bench,
) -> None:
    claimed = await bench.claimed(await bench.submit())
    bench.trail.lose_reply("insert")
    bench.trail.lose_request("read")
    caller = asyncio.create_task(claimed.trail.write(step()))
    await asyncio.sleep(0.02)  # the write is sent, and its answer is lost
    caller.cancel()
    await asyncio.gather(caller, return_exceptions=True)
    await claimed.trail.write(ending, last=True)
    statuses = await bench.statuses(claimed.request.job_id)
    assert statuses == ["Queued", "Started", "Step 1", "Completed"]


async def test_storage_that_does_not_answer_a_look_is_asked_again(bench: Bench) -> None:
    claimed = await bench.claimed(await bench.submit())
    bench.trail.before("insert", cancelling(bench, claimed))

    async def spoil() -> None:
        bench.trail.lose_request("newest", times=3)

    bench.trail.before("read", spoil)
    head = await claimed.trail.write(ending, last=True)
    assert head.status == "Cancelled"
