"""Scope ``worker``: claims that rest on a lock which the worker keeps for all its jobs."""

import asyncio

import pytest

from jobfleet_contracts.errors import TrustEnded
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.lease import SUSPECT_NOTE, job_lock, key_lock, worker_lock
from jobfleet_contracts.state import State
from jobfleet_protocol.claiming.claim_result import Claimed, ClaimResult
from jobfleet_protocol.claiming.decision import Attended
from jobfleet_protocol.claiming.lock_leases import new_lease_id
from tests.protocol.bench import LEASE_SECONDS, Bench, SteeredLease


async def claim_on(bench: Bench, held: SteeredLease, request: JobRequest) -> ClaimResult:
    message = await bench.message(request)
    claimer = bench.claimer(held.lease.owner)
    return await claimer.claim(message, lease_id=new_lease_id(), lasting=held)


async def test_a_first_claim_is_one_insert_and_no_request_to_a_lock(bench: Bench) -> None:
    held = await bench.worker_lock()
    request = await bench.submit()
    before = bench.leases.calls.total() + bench.locks.calls.total()
    claimed = await claim_on(bench, held, request)
    assert isinstance(claimed, Claimed)
    after = claimed.trail.head.after
    assert (after.lock, after.lock_turn, after.epoch) == (worker_lock("w1", 1), None, 1)
    assert bench.leases.calls.total() + bench.locks.calls.total() == before
    assert bench.trail.calls["newest"] == bench.trail.calls["read"] == 0
    await bench.verify()


async def test_of_ten_workers_with_one_message_each_one_runs_the_job(bench: Bench) -> None:
    held = [await bench.worker_lock(f"w{n}") for n in range(10)]
    request = await bench.submit()
    results = await asyncio.gather(*(claim_on(bench, each, request) for each in held))
    assert sum(isinstance(result, Claimed) for result in results) == 1
    assert sum(isinstance(result, Attended) for result in results) == 9
    assert (await bench.statuses(request.job_id)).count("Started") == 1


async def test_a_second_message_of_a_job_that_runs_here_is_dropped(bench: Bench) -> None:
    held = await bench.worker_lock()
    request = await bench.submit()
    assert isinstance(await claim_on(bench, held, request), Claimed)
    assert isinstance(await claim_on(bench, held, request), Attended)


async def test_a_lost_workers_job_is_taken_over_once_its_lock_is_free(bench: Bench) -> None:
    first, second = await bench.worker_lock("w1"), await bench.worker_lock("w2")
    request = await bench.submit()
    await claim_on(bench, first, request)
    assert isinstance(await claim_on(bench, second, request), Attended)
    await bench.real.leases.delete(first.lock, first.lease.lease_id)
    taken = await claim_on(bench, second, request)
    assert isinstance(taken, Claimed)
    assert taken.trail.head.after.lock == second.lock
    assert await bench.statuses(request.job_id) == ["Queued", "Started", "TakenOver", "Started"]
    await bench.verify()


async def test_scopes_mix_and_each_row_names_its_lock(bench: Bench) -> None:
    held = await bench.worker_lock("w1")
    one, two = await bench.submit(), await bench.submit()
    await claim_on(bench, held, one)
    assert isinstance(await bench.claim(one, "w2"), Attended)
    own = await bench.claimed(two, "w2")
    assert own.lease.lock == job_lock(two.job_id)
    assert isinstance(await claim_on(bench, held, two), Attended)
    # Both holders vanish: each job goes to a worker of the other scope.
    await bench.real.leases.delete(held.lock, held.lease.lease_id)
    await bench.real.leases.delete(own.lease.lock, own.lease.lease_id)
    next_held = await bench.worker_lock("w3")
    assert isinstance(await bench.claim(one, "w2"), Claimed)
    assert isinstance(await claim_on(bench, next_held, two), Claimed)
    await bench.verify()


async def test_a_job_with_a_lock_key_rests_on_its_key(bench: Bench) -> None:
    held = await bench.worker_lock()
    request = await bench.submit(lock_key="k")
    claimed = await claim_on(bench, held, request)
    assert isinstance(claimed, Claimed)
    assert claimed.lease.lock == key_lock("k")
    assert claimed.trail.head.after.lock_turn == 1


@pytest.mark.parametrize("by", ["its clock", "a refusal"])
async def test_a_claimer_that_lost_its_lock_in_its_read_writes_nothing(
    bench: Bench, by: str
) -> None:
    held = await bench.worker_lock()
    request = await bench.submit()
    message = await bench.message(request, sequence=None)  # no first message: it is read first

    async def lose() -> None:
        if by == "its clock":
            bench.clock.advance(LEASE_SECONDS)
        held.is_lost = by == "a refusal"

    bench.trail.before("newest", lose)
    with pytest.raises(TrustEnded):
        await bench.claimer().claim(message, lease_id=new_lease_id(), lasting=held)
    assert await bench.statuses(request.job_id) == ["Queued"]


async def test_a_claim_that_met_an_error_of_our_own_is_reported(bench: Bench) -> None:
    held = await bench.worker_lock()
    request = await bench.submit()
    bench.trail.lose_reply("insert", error=RuntimeError("a mistake"))
    with pytest.raises(RuntimeError):
        await claim_on(bench, held, request)
    (unclear,) = bench.given_up
    assert (unclear.lock, unclear.head.job_id) == (held.lock, request.job_id)
    head = await bench.head(request.job_id)
    assert head.after.state is State.RUNNING


async def test_the_loss_of_a_neighbour_that_blocked_the_loop_is_not_counted(bench: Bench) -> None:
    held = await bench.worker_lock("w1")
    culprit, neighbour = await bench.submit(), await bench.submit()
    for job in (culprit, neighbour):
        assert isinstance(await claim_on(bench, held, job), Claimed)
    note = {SUSPECT_NOTE: culprit.job_id}
    await bench.real.locks.write_note(held.lock, held.lease.lease_id, note)
    bench.clock.advance(LEASE_SECONDS + 1)
    taker = await bench.worker_lock("w2")
    takeovers = {}
    for job in (culprit, neighbour):
        claimed = await claim_on(bench, taker, job)
        assert isinstance(claimed, Claimed)
        takeovers[job.job_id] = claimed.trail.head.after.takeovers
    assert takeovers == {culprit.job_id: 1, neighbour.job_id: 0}
    await bench.verify()
