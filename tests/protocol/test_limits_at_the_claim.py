"""A claim under limits takes a slot of each, and all or none; its predecessors are fenced."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from jobfleet_contracts.event import HeldLock
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.lease import job_lock, key_lock, limit_lock, limit_prefix
from jobfleet_contracts.state import State
from jobfleet_protocol.claiming.claim_result import Claimed, ClaimResult, LimitFull
from jobfleet_protocol.claiming.decision import Attended, Busy, Ended
from jobfleet_protocol.claiming.lock_leases import new_lease_id
from jobfleet_protocol.claiming.lock_slots import LIMIT, LockSlotDemand
from jobfleet_protocol.claiming.start_terms import StartTerms
from tests.protocol.bench import LEASE_SECONDS, Bench


def limit(name: str, slots: int = 1) -> LockSlotDemand:
    locks = tuple(limit_lock(name, slot) for slot in range(1, slots + 1))
    return LockSlotDemand(reason=LIMIT, name=name, locks=locks, prefix=limit_prefix(name))


CLOSED = LockSlotDemand(
    reason=LIMIT, name="api", locks=(), prefix=limit_prefix("api"), closed="nobody has set it"
)


async def release(bench: Bench, claimed: Claimed) -> None:
    """End the attempt and give everything up, as a worker does."""
    for lease in claimed.slot_leases:
        await bench.real.leases.release(lease.lock, lease.lease_id)
    await bench.end(claimed)


def held(claimed: Claimed) -> list[HeldLock]:
    return list(claimed.trail.head.after.locks)


async def test_a_start_names_every_slot_that_it_holds_with_its_turn(bench: Bench) -> None:
    bench.terms = StartTerms(slot_demands=(limit("api", 5), limit("disk")))
    claimed = await bench.claimed(request := await bench.submit(lock_key="k"))
    api = limit_lock("api", int(request.job_id[-8:], 16) % 5 + 1)
    assert held(claimed) == [HeldLock(api, 1), HeldLock("limit/disk/1", 1)]
    assert claimed.trail.head.after.lock == key_lock("k")
    assert [lease.lock for lease in claimed.slot_leases] == [api, "limit/disk/1"]
    await release(bench, claimed)
    again = await bench.claimed(await bench.submit())
    assert HeldLock("limit/disk/1", 2) in held(again)
    await bench.verify()


async def test_a_limit_of_three_lets_three_jobs_run(bench: Bench) -> None:
    bench.terms = StartTerms(slot_demands=(limit("api", 3),))
    requests = [await bench.submit() for _ in range(10)]
    results = await asyncio.gather(*(bench.claim(r, f"w{n}") for n, r in enumerate(requests)))
    running = [result for result in results if isinstance(result, Claimed)]
    full = [result for result in results if isinstance(result, LimitFull)]
    assert (len(running), len(full)) == (3, 7)
    assert {each.demand.name for each in full} == {"api"}
    assert len({held(each)[0].lock for each in running}) == 3


async def test_where_one_limit_is_full_all_is_given_back(bench: Bench) -> None:
    bench.terms = StartTerms(slot_demands=(limit("disk"),))
    await bench.claimed(await bench.submit())
    bench.terms = StartTerms(slot_demands=(limit("api"), limit("disk")))
    result = await bench.claim(await bench.submit(lock_key="k"))
    assert isinstance(result, LimitFull)
    assert result.demand.name == "disk"
    assert not await bench.real.leases.is_leased("limit/api/1")
    assert not await bench.real.leases.is_leased(key_lock("k"))
    bench.terms = StartTerms(slot_demands=(limit("api"),))
    await bench.claimed(await bench.submit())


async def test_where_the_lock_key_is_held_all_is_given_back(bench: Bench) -> None:
    await bench.claimed(await bench.submit(lock_key="k"))
    bench.terms = StartTerms(slot_demands=(limit("api"),))
    assert isinstance(await bench.claim(await bench.submit(lock_key="k")), Busy)
    assert not await bench.real.leases.is_leased("limit/api/1")


async def test_a_job_that_ended_is_concluded_though_its_limit_is_full(bench: Bench) -> None:
    bench.terms = StartTerms(slot_demands=(limit("api"),))
    await bench.claimed(await bench.submit())
    request = await bench.submit()
    await bench.canceller.cancel(request.job_id, by=None)
    assert isinstance(await bench.claim(request), Ended)


async def test_the_next_holder_of_a_slot_fences_a_job_whose_own_lock_is_another(
    bench: Bench,
) -> None:
    bench.terms = StartTerms(slot_demands=(limit("api"),))
    first = await bench.submit()
    lost = await bench.claimed(first)
    bench.clock.advance(LEASE_SECONDS + 1)
    second = await bench.claimed(await bench.submit(), "w2")
    assert held(second) == [HeldLock("limit/api/1", 2)]
    head = await bench.head(first.job_id)
    assert (head.status, head.after.state) == ("TakenOver", State.DEFERRED)
    assert head.after.epoch == lost.trail.epoch + 1
    await bench.verify()


async def test_a_stale_note_of_another_slot_fences_no_job_that_runs(bench: Bench) -> None:
    bench.terms = StartTerms(slot_demands=(limit("api", 2),))
    first = await bench.submit()
    first_slot, other_slot = (limit_lock("api", n) for n in (1, 2))
    note = {"turn": "1", "job": first.job_id, "epoch": "1"}
    for lock in (first_slot, other_slot):  # as a claim left it that came to nothing
        await bench.real.leases.create(lock)
        await bench.real.leases.acquire(lock, "x", 5)
        await bench.real.locks.write_note(lock, "x", note)
        await bench.real.leases.release(lock, "x")
    await bench.claimed(first)
    await bench.claimed(await bench.submit(), "w2")
    assert (await bench.head(first.job_id)).after.state is State.RUNNING
    await bench.verify()


async def test_slots_above_a_lowered_number_are_not_taken_and_their_jobs_run_on(
    bench: Bench,
) -> None:
    bench.terms = StartTerms(slot_demands=(limit("api", 3),))
    running = [await bench.claimed(await bench.submit(), f"w{n}") for n in range(3)]
    bench.terms = StartTerms(slot_demands=(limit("api", 1),))
    waiting = await bench.submit()
    assert isinstance(await bench.claim(waiting), LimitFull)
    above = [each for each in running if held(each)[0].lock != "limit/api/1"]
    for each in above:
        await release(bench, each)
        assert isinstance(await bench.claim(waiting), LimitFull)
    (last,) = [each for each in running if each not in above]
    await release(bench, last)
    assert held(await bench.claimed(waiting)) == [HeldLock("limit/api/1", 2)]
    await bench.verify()


async def test_under_a_closed_limit_nothing_starts(bench: Bench) -> None:
    bench.terms = StartTerms(slot_demands=(CLOSED,))
    request = JobRequest(type="x")
    result = await bench.claimer().claim(
        await bench.message(await bench.submit()), lease_id=request.job_id
    )
    assert isinstance(result, LimitFull)
    assert result.demand.text == "nobody has set it"


@pytest.mark.parametrize("lock_key", [None, "k"])
async def test_a_takeover_takes_slots_again_and_may_take_others(
    bench: Bench, lock_key: str | None
) -> None:
    bench.terms = StartTerms(slot_demands=(limit("api", 2),))
    request = await bench.submit(lock_key=lock_key)
    first = await bench.claimed(request)
    bench.clock.advance(LEASE_SECONDS - 1)
    zombie = first.slot_leases[0]
    await bench.real.leases.renew(zombie.lock, zombie.lease_id, LEASE_SECONDS)
    bench.clock.advance(2)
    second = await bench.claimed(request, "w2")
    assert held(second)[0].lock != zombie.lock
    other = await bench.submit()
    assert isinstance(await bench.claim(other, "w3"), LimitFull)
    bench.clock.advance(LEASE_SECONDS - 3)
    assert isinstance(await bench.claim(request, "w3"), Attended | LimitFull)
    await bench.verify()


async def begun(bench: Bench, scope: str, request: JobRequest) -> Claimed:
    """Start a job in a worker that will be lost, under a limit with one slot."""
    bench.terms = StartTerms(slot_demands=(limit("api"),))
    claimed = await claim_in(bench, scope, request, "w1")
    assert isinstance(claimed, Claimed)
    return claimed


async def claim_in(bench: Bench, scope: str, request: JobRequest, worker: str) -> ClaimResult:
    held = await bench.worker_lock(worker) if scope == "worker" else None
    message = await bench.message(request, due_at=None)
    return await bench.claimer(worker).claim(message, lease_id=new_lease_id(), lasting=held)


async def lose_the_worker(bench: Bench, fullness: str) -> None:
    """Let every lease run out; then the limit has no slot, or another job holds it."""
    bench.clock.advance(LEASE_SECONDS + 1)
    if fullness == "closed":
        bench.terms = StartTerms(slot_demands=(CLOSED,))
    else:
        lock = limit_lock("api", 1)
        await bench.real.leases.acquire(lock, new_lease_id(), LEASE_SECONDS)


beside_a_full_limit = pytest.mark.parametrize(
    ("scope", "lock_key", "fullness"),
    [
        ("job", None, "full"),
        ("worker", None, "closed"),
        ("job", "k", "closed"),
        ("worker", "k", "full"),
    ],
)


@beside_a_full_limit
async def test_an_unsent_request_is_sent_again_though_a_limit_is_full(
    bench: Bench, scope: str, lock_key: str | None, fullness: str
) -> None:
    request = await bench.submit(lock_key=lock_key)
    claimed = await begun(bench, scope, request)
    due_at, own = bench.clock.now() + timedelta(hours=1), job_lock(request.job_id)
    await bench.end(claimed, "Waiting", due_at=due_at, lock=own)
    await lose_the_worker(bench, fullness)
    again = await claim_in(bench, scope, request, "w2")
    assert isinstance(again, Claimed)
    assert (again.lease.lock, again.trail.head.status) == (own, "TakenOver")
    assert (again.trail.head.after.state, again.slot_leases) == (State.WAITING, ())
    # Its sender holds the lock by now, so a third worker leaves the job to it.
    assert isinstance(await claim_in(bench, scope, request, "w3"), Attended)


@beside_a_full_limit
@pytest.mark.parametrize("why", ["it is cancelled", "it lost too many workers"])
async def test_a_lost_job_that_may_not_run_again_ends_though_a_limit_is_full(
    bench: Bench, scope: str, lock_key: str | None, fullness: str, why: str
) -> None:
    on_lost = "fail" if why == "it lost too many workers" else "retry"
    request = await bench.submit(lock_key=lock_key, on_lost=on_lost)
    await begun(bench, scope, request)
    if why == "it is cancelled":
        await bench.canceller.cancel(request.job_id, by=None)
    await lose_the_worker(bench, fullness)
    result = await claim_in(bench, scope, request, "w2")
    assert isinstance(result, Ended)
    assert result.head.after.state is (
        State.CANCELLED if why == "it is cancelled" else State.FAILED
    )


@beside_a_full_limit
async def test_a_lost_job_that_may_run_again_waits_for_its_limit(
    bench: Bench, scope: str, lock_key: str | None, fullness: str
) -> None:
    request = await bench.submit(lock_key=lock_key)
    await begun(bench, scope, request)
    await lose_the_worker(bench, fullness)
    assert isinstance(await claim_in(bench, scope, request, "w2"), LimitFull)
    assert await bench.statuses(request.job_id) == ["Queued", "Started"]
