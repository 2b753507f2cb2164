"""A claim under a rate: in its slot it starts, and before it the job says when it will."""

from __future__ import annotations

from datetime import timedelta

from jobfleet_contracts.codec import format_time, parse_time
from jobfleet_contracts.control import ControlSubject
from jobfleet_contracts.rate import Rate
from jobfleet_contracts.state import State
from jobfleet_protocol.claiming.claim_result import RateFull
from jobfleet_protocol.claiming.decision import Paused, Wait
from jobfleet_protocol.claiming.rate_limiter import RateDemand
from jobfleet_protocol.claiming.start_terms import StartTerms
from jobfleet_protocol.control.pause_state import FleetPauses, Pause
from tests.protocol.bench import LEASE_SECONDS, Bench

MINUTE = RateDemand("type/x", "x", Rate("60/minute", grace_seconds=30))
SLOW = RateDemand("type/x", "x", Rate("6/minute"))


async def test_a_start_says_its_slot(bench: Bench) -> None:
    bench.terms = StartTerms(rates=(MINUTE,))
    claimed = await bench.claimed(await bench.submit())
    assert claimed.trail.head.data["rate"] == "x"
    slot = parse_time(claimed.trail.head.data["slot"])
    assert timedelta(0) <= claimed.trail.head.occurred_at - slot < timedelta(seconds=1)


async def test_a_job_before_its_slot_is_deferred_until_then_and_starts_in_it(bench: Bench) -> None:
    bench.terms = StartTerms(rates=(MINUTE,))
    await bench.claimed(await bench.submit())
    request = await bench.submit()
    result = await bench.claim(request)
    assert isinstance(result, RateFull)
    assert result.crowded is None
    head = await bench.head(request.job_id)
    assert (head.status, head.after.state, head.after.epoch) == ("Deferred", State.DEFERRED, 0)
    assert head.data["reason"] == "rate"
    assert head.data["slot"] == format_time(head.after.due_at or head.occurred_at)
    assert head.message.startswith("waits for rate x, slot ")
    assert isinstance(await bench.claim(request, "w2"), Wait)
    bench.clock.advance(2)
    claimed = await bench.claimed(request, "w2")
    assert claimed.trail.head.data["slot"] == head.data["slot"]
    await bench.verify()


async def test_a_slot_that_passed_is_reserved_anew(bench: Bench) -> None:
    bench.terms = StartTerms(rates=(MINUTE,))
    requests = [await bench.submit() for _ in range(4)]
    for request in requests:
        await bench.claim(request)
    held = (await bench.head(requests[3].job_id)).data["slot"]
    bench.clock.advance(60)
    claimed = await bench.claimed(requests[3])
    assert claimed.trail.head.data["slot"] > held


async def test_a_job_without_a_slot_in_reach_says_so_once_and_reserves_nothing(
    bench: Bench,
) -> None:
    bench.terms = StartTerms(rates=(SLOW,))
    await bench.claimed(await bench.submit())
    row = await bench.real.rates.read(SLOW.key)
    request = await bench.submit()
    for _ in range(3):
        result = await bench.claim(request)
        assert isinstance(result, RateFull)
        assert result.crowded is not None
    assert await bench.statuses(request.job_id) == ["Queued", "Deferred"]
    assert (await bench.head(request.job_id)).data["slot"] is None
    assert await bench.real.rates.read(SLOW.key) == row
    bench.clock.advance(10)
    await bench.claimed(request)
    await bench.verify()


async def test_a_lost_job_counts_again_when_it_starts_again(bench: Bench) -> None:
    bench.terms = StartTerms(rates=(SLOW,))
    request = await bench.submit()
    await bench.claimed(request)
    bench.clock.advance(LEASE_SECONDS + 1)
    await bench.claimed(await bench.submit())
    result = await bench.claim(request, "w2")
    assert isinstance(result, RateFull)
    assert await bench.statuses(request.job_id) == ["Queued", "Started", "TakenOver", "Deferred"]
    bench.clock.advance(10)
    claimed = await bench.claimed(request, "w2")
    assert claimed.trail.head.after.epoch == 3
    await bench.verify()


async def test_a_job_under_a_lock_key_waits_for_its_slot_without_the_lock(bench: Bench) -> None:
    bench.terms = StartTerms(rates=(SLOW,))
    await bench.claimed(await bench.submit())
    request = await bench.submit(lock_key="k")
    assert isinstance(await bench.claim(request), RateFull)
    bench.terms = StartTerms()
    await bench.claimed(await bench.submit(lock_key="k"))
    await bench.verify()


async def test_a_pause_that_comes_while_a_slot_is_reserved_keeps_the_job_from_starting(
    bench: Bench,
) -> None:
    bench.terms = StartTerms(rates=(MINUTE,))
    request = await bench.submit()
    pause = Pause(
        subject=ControlSubject.QUEUE,
        name="default",
        sequence=1,
        by="nightops",
        since=bench.clock.now(),
    )
    reads = 0

    async def read_pauses() -> FleetPauses:
        nonlocal reads
        reads += 1
        return FleetPauses(queues={} if reads == 1 else {"default": pause})

    bench._read_pauses = read_pauses  # type: ignore[method-assign]
    assert isinstance(await bench.claim(request), Paused)
    assert await bench.statuses(request.job_id) == ["Queued"]
