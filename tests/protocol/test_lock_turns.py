"""Turns under a shared lock: the successor closes the predecessor's trail before its own claim."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from jobfleet_contracts.errors import Fenced, LeaseConflict, TrustEnded
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.lease import FLEET_LOCK, Lease, key_lock
from jobfleet_contracts.state import State, Status
from jobfleet_protocol.claiming.claimer import Claimed
from jobfleet_protocol.claiming.lock_leases import new_lease_id
from jobfleet_protocol.trail.transitions import Change
from tests.protocol.bench import LEASE_SECONDS, Bench

KEY = "customer 42"


async def two_jobs(bench: Bench) -> tuple[JobRequest, JobRequest]:
    return await bench.submit(lock_key=KEY), await bench.submit(lock_key=KEY)


def expiring(bench: Bench) -> Callable[[], Awaitable[None]]:
    async def expire() -> None:
        bench.clock.advance(LEASE_SECONDS + 1)

    return expire


async def test_a_predecessor_that_sleeps_can_write_nothing_and_its_job_is_published(
    bench: Bench,
) -> None:
    first, second = await two_jobs(bench)
    sleeper = await bench.claimed(first, "w1")
    await bench.messages()
    bench.clock.advance(LEASE_SECONDS + 1)
    await bench.claimed(second, "w2")
    with pytest.raises(Fenced):
        await sleeper.trail.write(lambda _: [Change(kind=Status.COMPLETED, worker_id="w1")])
    head = await bench.head(first.job_id)
    assert (head.status, head.after.state, head.after.epoch) == ("TakenOver", State.DEFERRED, 2)
    assert [message.request.job_id for message in await bench.messages()] == [first.job_id]


async def test_a_claim_in_flight_is_closed_before_it_lands(bench: Bench) -> None:
    """The first worker wrote its note and slept before its ``Started``."""
    first, second = await two_jobs(bench)

    async def overtake() -> None:
        bench.clock.advance(LEASE_SECONDS + 1)
        await bench.claimed(second, "w2")

    bench.trail.before("insert", overtake)
    with pytest.raises(TrustEnded):
        await bench.claim(first, "w1")
    assert "Started" not in await bench.statuses(first.job_id)
    assert "TakenOver" in await bench.statuses(first.job_id)


async def test_a_stale_holder_cannot_write_its_note(bench: Bench) -> None:
    first, second = await two_jobs(bench)

    async def overtake() -> None:
        bench.clock.advance(LEASE_SECONDS + 1)
        await bench.claimed(second, "w2")

    bench.locks.before("write_note", overtake)
    with pytest.raises(LeaseConflict):
        await bench.claim(first, "w1")
    note = await bench.real.locks.read_note(key_lock(KEY))
    assert (note["turn"], note["job"]) == ("1", second.job_id)
    assert await bench.statuses(first.job_id) == ["Queued"]


async def test_without_trust_after_the_look_nothing_is_written(bench: Bench) -> None:
    first, _ = await two_jobs(bench)
    bench.trail.before("newest", expiring(bench))
    with pytest.raises(TrustEnded):
        await bench.claim(first)
    assert await bench.real.locks.read_note(key_lock(KEY)) == {}


async def test_a_predecessor_that_ended_is_left_alone(bench: Bench) -> None:
    first, second = await two_jobs(bench)
    await bench.end(await bench.claimed(first))
    await bench.claimed(second, "w2")
    assert (await bench.statuses(first.job_id))[-1] == "Completed"


async def test_a_waiting_predecessor_is_left_alone(bench: Bench) -> None:
    first, second = await two_jobs(bench)
    claimed = await bench.claimed(first)
    await bench.end(claimed, "Waiting", due_at=bench.clock.now() + timedelta(hours=1))
    await bench.claimed(second, "w2")
    assert (await bench.statuses(first.job_id))[-1] == "Waiting"


async def test_a_job_that_runs_again_under_its_key_closes_its_own_lost_run(bench: Bench) -> None:
    first, _ = await two_jobs(bench)
    await bench.claimed(first)
    bench.clock.advance(LEASE_SECONDS + 1)
    claimed = await bench.claimed(first, "w2")
    assert await bench.statuses(first.job_id) == ["Queued", "Started", "TakenOver", "Started"]
    assert (claimed.trail.head.after.epoch, claimed.trail.head.after.lock_turn) == (2, 2)


@pytest.mark.parametrize("lost", ["lose_request", "lose_reply"])
async def test_a_lost_answer_to_the_fencing_write_changes_nothing(bench: Bench, lost: str) -> None:
    first, second = await two_jobs(bench)
    await bench.claimed(first)
    bench.clock.advance(LEASE_SECONDS + 1)
    getattr(bench.trail, lost)("insert", times=2)
    await bench.claimed(second, "w2")
    assert (await bench.statuses(first.job_id)).count("TakenOver") == 1


async def test_the_fleets_lease_fences_the_named_job_before_any_message(bench: Bench) -> None:
    request = await bench.submit()
    claimer = bench.claimer("w1")
    fleet: Lease = await claimer.leases.acquire(FLEET_LOCK, new_lease_id())
    result = await claimer.claim(await bench.message(request), lease_id=new_lease_id(), fleet=fleet)
    assert isinstance(result, Claimed)
    bench.clock.advance(LEASE_SECONDS + 1)
    successor = bench.claimer("w2")
    await successor.leases.acquire(FLEET_LOCK, new_lease_id())
    await successor.turns.fence_named(lock=FLEET_LOCK, trusted=lambda: True)
    assert (await bench.head(request.job_id)).status == "TakenOver"
    with pytest.raises(TrustEnded):
        await successor.turns.fence_named(lock=FLEET_LOCK, trusted=lambda: False)
