"""Turns under a shared lock: the successor closes the predecessor's trail before its own claim."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any, Literal

import pytest

from jobfleet_contracts.errors import Fenced, LeaseConflict, TrustEnded
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.job_id import new_id
from jobfleet_contracts.lease import FLEET_LOCK, Lease, key_lock, key_locks
from jobfleet_contracts.lookup_keys import LOST_BY, keys_in
from jobfleet_contracts.state import State, Status
from jobfleet_protocol.claiming.claim_result import Claimed
from jobfleet_protocol.claiming.decision import Attended, Busy
from jobfleet_protocol.claiming.lock_leases import new_lease_id
from jobfleet_protocol.trail.transitions import Change
from tests.protocol.bench import LEASE_SECONDS, Bench, SteeredLease

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


@pytest.mark.parametrize("scope", ["key", "fleet"])
async def test_a_predecessor_that_must_not_run_twice_ends_in_the_fencing_transaction(
    bench: Bench, scope: str
) -> None:
    lock_key = "k" if scope == "key" else None
    first = await bench.submit(on_lost="fail", lock_key=lock_key)
    if scope == "key":
        sleeper = await bench.claimed(first, "w1")
        second = await bench.submit(lock_key="k")
        bench.clock.advance(LEASE_SECONDS + 1)
        await bench.claimed(second, "w2")
    else:
        claimer = bench.claimer("w1")
        fleet = await claimer.leases.acquire(FLEET_LOCK, new_lease_id())
        message = await bench.message(first)
        result = await claimer.claim(
            message, lease_id=new_lease_id(), lasting=SteeredLease(fleet, bench.clock)
        )
        assert isinstance(result, Claimed)
        sleeper = result
        bench.clock.advance(LEASE_SECONDS + 1)
        successor = bench.claimer("w2")
        await successor.leases.acquire(FLEET_LOCK, new_lease_id())
        await successor.turns.fence_named(lock=FLEET_LOCK, trusted=lambda: True)
    assert (await bench.statuses(first.job_id))[-2:] == ["TakenOver", "Failed"]
    assert (await bench.head(first.job_id)).data["error"]["type"] == "WorkerLost"
    with pytest.raises(Fenced):
        await sleeper.trail.write(lambda _: [Change(kind=Status.COMPLETED, worker_id="w1")])


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


@pytest.mark.parametrize("on_lost", ["retry", "fail"])
async def test_a_running_job_whose_next_claim_is_in_flight_has_lost_its_worker(
    bench: Bench, on_lost: Literal["retry", "fail"]
) -> None:
    """The second worker wrote its note and slept before it took the job from the first one."""
    first = await bench.submit(lock_key=KEY, on_lost=on_lost)
    second = await bench.submit(lock_key=KEY)
    await bench.claimed(first, "w1")
    bench.clock.advance(LEASE_SECONDS + 1)

    async def overtake() -> None:
        bench.clock.advance(LEASE_SECONDS + 1)
        await bench.claimed(second, "w3")

    bench.trail.before("insert", overtake)
    with suppress(TrustEnded):  # what is left for it to do may need no trust
        await bench.claim(first, "w2")
    taken = await bench.real.trail.read(first.job_id, 3)
    assert taken is not None
    assert keys_in(taken)[LOST_BY] == "w1"
    ends = ["TakenOver", "Failed"] if on_lost == "fail" else ["TakenOver"]
    assert await bench.statuses(first.job_id) == ["Queued", "Started", *ends]


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
    result = await claimer.claim(
        await bench.message(request),
        lease_id=new_lease_id(),
        lasting=SteeredLease(fleet, bench.clock),
    )
    assert isinstance(result, Claimed)
    bench.clock.advance(LEASE_SECONDS + 1)
    successor = bench.claimer("w2")
    await successor.leases.acquire(FLEET_LOCK, new_lease_id())
    await successor.turns.fence_named(lock=FLEET_LOCK, trusted=lambda: True)
    assert (await bench.head(request.job_id)).status == "TakenOver"
    with pytest.raises(TrustEnded):
        await successor.turns.fence_named(lock=FLEET_LOCK, trusted=lambda: False)


def of_slots(slots: int, slot: int) -> dict[str, Any]:
    """Fields of a job whose first try is this slot, from 1."""
    job_id = f"01900000-0000-7000-8000-{slot - 1:012x}"
    return {"lock_key": KEY, "lock_slots": slots, "job_id": job_id}


async def test_as_many_jobs_as_slots_run_and_the_next_is_kept_out(bench: Bench) -> None:
    jobs = [await bench.submit(**of_slots(3, 1 + n) | {"job_id": new_id()}) for n in range(4)]
    held = [await bench.claimed(job, f"w{n}") for n, job in enumerate(jobs[:3])]
    locks = {claimed.lease.lock for claimed in held}
    assert locks == set(key_locks(KEY, 3))
    assert {claimed.trail.head.after.lock for claimed in held} == locks
    assert [claimed.trail.head.after.lock_turn for claimed in held] == [1, 1, 1]
    assert isinstance(await bench.claim(jobs[3], "w4"), Busy)
    await bench.end(held[1])
    await bench.real.leases.release(held[1].lease.lock, held[1].lease.lease_id)
    last = await bench.claimed(jobs[3], "w4")
    assert (last.lease.lock, last.trail.head.after.lock_turn) == (held[1].lease.lock, 2)
    await bench.verify()


async def test_jobs_of_one_key_with_other_slots_are_limited_apart(bench: Bench) -> None:
    one, two = await bench.submit(lock_key=KEY), await bench.submit(lock_key=KEY, lock_slots=2)
    assert (await bench.claimed(one, "w1")).lease.lock == key_lock(KEY)
    assert (await bench.claimed(two, "w2")).lease.lock in key_locks(KEY, 2)


async def test_a_stale_note_of_another_slot_fences_nobody(bench: Bench) -> None:
    """A claim in slot 1 got as far as its note; the job runs in slot 2 under the same epoch."""
    first = await bench.submit(**of_slots(2, 1))
    note = {"turn": "1", "job": first.job_id, "epoch": "1"}
    lock, lease_id = key_locks(KEY, 2)[0], new_lease_id()
    await bench.real.leases.create(lock)
    await bench.real.leases.acquire(lock, lease_id, LEASE_SECONDS)
    await bench.real.locks.write_note(lock, lease_id, note)
    running = await bench.claimed(first, "w1")
    assert running.lease.lock == key_locks(KEY, 2)[1]
    await bench.real.leases.release(lock, lease_id)
    second = await bench.submit(**of_slots(2, 1) | {"job_id": new_id()})
    claimed = await bench.claimed(second, "w2")
    assert (claimed.lease.lock, claimed.trail.head.after.lock_turn) == (lock, 2)
    assert await bench.statuses(first.job_id) == ["Queued", "Started"]
    await bench.end(running)


async def test_a_claim_in_flight_is_closed_though_its_job_last_ran_in_a_slot_that_is_leased(
    bench: Bench,
) -> None:
    """Otherwise it could land in the slot that its successor has by then."""
    first = await bench.submit(**of_slots(2, 1))
    lost = await bench.claimed(first, "w1")
    bench.clock.advance(LEASE_SECONDS + 1)
    note = {"turn": "1", "job": first.job_id, "epoch": "2"}
    other, lease_id = key_locks(KEY, 2)[1], new_lease_id()
    await bench.real.leases.create(other)
    await bench.real.leases.acquire(other, lease_id, LEASE_SECONDS)
    await bench.real.locks.write_note(other, lease_id, note)
    await bench.real.leases.release(other, lease_id)
    await bench.real.leases.acquire(lost.lease.lock, new_lease_id(), LEASE_SECONDS)
    second = await bench.submit(**of_slots(2, 2) | {"job_id": new_id()})
    assert (await bench.claimed(second, "w2")).lease.lock == other
    assert (await bench.head(first.job_id)).after.epoch == 2


async def test_a_lost_job_is_taken_over_in_the_slot_in_which_it_ran(bench: Bench) -> None:
    first = await bench.submit(**of_slots(3, 1))
    blocked = key_locks(KEY, 3)[0]
    lease_id = new_lease_id()
    await bench.real.leases.create(blocked)
    await bench.real.leases.acquire(blocked, lease_id, LEASE_SECONDS)
    lost = await bench.claimed(first, "w1")
    assert lost.lease.lock != blocked
    bench.clock.advance(LEASE_SECONDS + 1)
    again = await bench.claimed(first, "w2")
    assert again.lease.lock == lost.lease.lock
    assert await bench.real.locks.leased() == {lost.lease.lock}
    assert await bench.statuses(first.job_id) == ["Queued", "Started", "TakenOver", "Started"]


async def test_a_lost_job_whose_slot_another_holds_is_left_to_that_one(bench: Bench) -> None:
    first = await bench.submit(**of_slots(2, 1))
    lost = await bench.claimed(first, "w1")
    bench.clock.advance(LEASE_SECONDS + 1)
    await bench.real.leases.acquire(lost.lease.lock, new_lease_id(), LEASE_SECONDS)
    assert isinstance(await bench.claim(first, "w2"), Attended)
    assert await bench.real.locks.leased() == {lost.lease.lock}


async def test_a_slot_with_a_lost_holder_is_free_after_its_lease(bench: Bench) -> None:
    jobs = [await bench.submit(lock_key=KEY, lock_slots=2) for _ in range(3)]
    for number, job in enumerate(jobs[:2]):
        await bench.claimed(job, f"w{number}")
    assert isinstance(await bench.claim(jobs[2], "w3"), Busy)
    bench.clock.advance(LEASE_SECONDS + 1)
    await bench.claimed(jobs[2], "w3")
    states = [(await bench.head(job.job_id)).after.state for job in jobs]
    assert states.count(State.RUNNING) == 2
    await bench.verify()
