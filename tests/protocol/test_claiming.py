"""A claim: lease, look, write; the worker that inserts ``Started`` first runs the job."""

import asyncio
from datetime import timedelta

import pytest

from jobfleet_contracts.errors import BackendUnavailable, TrustEnded
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.lease import job_lock, key_lock
from jobfleet_contracts.lookup_keys import keys_in
from jobfleet_contracts.message import JobMessage
from jobfleet_contracts.state import State
from jobfleet_protocol.claiming.claim_result import Claimed
from jobfleet_protocol.claiming.decision import Attended, Busy, Ended, Wait
from jobfleet_protocol.claiming.lock_leases import new_lease_id
from tests.protocol.bench import DEFAULTS, LEASE_SECONDS, Bench


async def test_a_first_claim_needs_no_read(bench: Bench) -> None:
    request = await bench.submit()
    claimed = await bench.claimed(request)
    after = claimed.trail.head.after
    assert (after.state, after.epoch, after.attempt) == (State.RUNNING, 1, 1)
    assert after.lock == job_lock(request.job_id)
    assert bench.trail.calls["newest"] == 0
    assert bench.trail.calls["read"] == 0


async def test_a_first_claim_on_a_wrong_assumption_looks_again(bench: Bench) -> None:
    request = await bench.submit()
    message = await bench.message(request)
    await bench.canceller.cancel(request.job_id, by=None)
    result = await bench.claimer().claim(message, lease_id=new_lease_id())
    assert isinstance(result, Ended)
    assert not result.written


async def test_of_ten_workers_with_one_message_each_one_runs_the_job(bench: Bench) -> None:
    request = await bench.submit()
    results = await asyncio.gather(*(bench.claim(request, f"w{n}") for n in range(10)))
    assert sum(isinstance(result, Claimed) for result in results) == 1
    others = [result for result in results if not isinstance(result, Claimed)]
    assert all(isinstance(result, Busy | Attended) for result in others)
    assert (await bench.statuses(request.job_id)).count("Started") == 1


async def test_a_claim_that_writes_nothing_leaves_no_lease_behind(bench: Bench) -> None:
    request = await bench.submit(run_at=bench.clock.now() + timedelta(seconds=50))
    assert isinstance(await bench.claim(request), Wait)
    assert not await bench.real.leases.is_leased(job_lock(request.job_id))
    await bench.canceller.cancel(request.job_id, by=None)
    assert isinstance(await bench.claim(request), Ended)
    assert await bench.real.locks.leased() == frozenset()


async def test_a_running_job_is_left_to_its_holder(bench: Bench) -> None:
    request = await bench.submit()
    await bench.claimed(request)
    assert isinstance(await bench.claim(request, "w2"), Attended)


async def test_a_lost_holder_is_taken_over_in_one_write(bench: Bench) -> None:
    request = await bench.submit()
    await bench.claimed(request)
    bench.clock.advance(LEASE_SECONDS + 1)
    claimed = await bench.claimed(request, "w2")
    taken, started = (await bench.history(request.job_id))[2:]
    assert (taken.status, taken.message) == ("TakenOver", "worker w1 was lost")
    assert keys_in(taken) == {"lostby": "w1"}
    assert taken.after.epoch == started.after.epoch == 2
    assert claimed.trail.head.after.attempt == 1  # a lost worker costs no attempt


async def test_more_than_five_lost_workers_fail_the_job(bench: Bench) -> None:
    request = await bench.submit()
    for n in range(6):
        await bench.claimed(request, f"w{n}")
        bench.clock.advance(LEASE_SECONDS + 1)
    result = await bench.claim(request, "w7")
    assert isinstance(result, Ended)
    assert result.head.status == "Failed"
    assert result.head.data["error"]["type"] == "WorkerLost"
    assert (await bench.statuses(request.job_id)).count("TakenOver") == 6


async def test_trust_is_checked_after_the_read(bench: Bench) -> None:
    """A sleeper that wakes between its read and its write must not take over a live holder."""
    request = await bench.submit()
    await bench.claimed(request)
    bench.clock.advance(LEASE_SECONDS + 1)

    async def sleep_past_the_lease() -> None:
        bench.clock.advance(LEASE_SECONDS + 1)

    bench.trail.before("newest", sleep_past_the_lease)
    with pytest.raises(TrustEnded):
        await bench.claim(request, "w2")
    assert (await bench.statuses(request.job_id))[-1] == "Started"


async def test_trust_counts_from_before_the_request(bench: Bench) -> None:
    async def slow() -> None:
        bench.clock.advance(5)

    request = await bench.submit()
    before = bench.clock.boottime()
    bench.leases.before("acquire", slow)
    claimed = await bench.claimed(request)
    assert claimed.lease.trusted_until - before < LEASE_SECONDS - 1


@pytest.mark.parametrize("lost", ["lose_request", "lose_reply"])
async def test_a_claim_repeated_with_the_same_lease_id_is_the_same_claim(
    bench: Bench, lost: str
) -> None:
    request = await bench.submit()
    getattr(bench.leases, lost)("acquire")
    lease_id, message = new_lease_id(), await bench.message(request)
    for _ in range(2):
        try:
            result = await bench.claimer().claim(message, lease_id=lease_id)
            break
        except BackendUnavailable:
            continue
    assert isinstance(result, Claimed)


@pytest.mark.parametrize("lost", ["lose_request", "lose_reply"])
async def test_an_unanswered_started_is_made_sure_of(bench: Bench, lost: str) -> None:
    request = await bench.submit()
    getattr(bench.trail, lost)("insert", times=3)
    claimed = await bench.claimed(request)
    assert await bench.statuses(request.job_id) == ["Queued", "Started"]
    assert claimed.trail.head.event_id == (await bench.head(request.job_id)).event_id


async def test_a_foreign_publishers_job_gets_its_row_and_event_1_first(bench: Bench) -> None:
    request = JobRequest(type="x", max_attempts=5)
    message = JobMessage(request=request)
    result = await bench.claimer().claim(message, lease_id=new_lease_id())
    assert isinstance(result, Claimed)
    assert await bench.statuses(request.job_id) == ["Queued", "Started"]
    (row,) = await bench.open_rows()
    assert row.facts.job_id == request.job_id
    assert result.trail.head.after.max_attempts == 5


async def test_a_foreign_job_with_a_time_is_scheduled(bench: Bench) -> None:
    request = JobRequest(type="x", run_at=bench.clock.now() + timedelta(minutes=1))
    result = await bench.claimer().claim(JobMessage(request=request), lease_id=new_lease_id())
    assert isinstance(result, Wait)
    assert await bench.statuses(request.job_id) == ["Scheduled"]


async def test_a_scheduled_job_waits_from_when_it_was_due(bench: Bench) -> None:
    request = await bench.submit(run_at=bench.clock.now() + timedelta(minutes=5))
    bench.clock.advance(301)
    claimed = await bench.claimed(request)
    assert claimed.trail.head.duration_ms is not None
    assert 900 <= claimed.trail.head.duration_ms < 5_000


async def test_a_redriven_job_waits_from_when_it_was_redriven(bench: Bench) -> None:
    request = await bench.submit()
    await bench.end(await bench.claimed(request), "Failed")
    bench.clock.advance(86_400)
    await bench.redriver.redrive(request.job_id, by="me")
    bench.clock.advance(2)
    waited = (await bench.claimed(request)).trail.head.duration_ms
    assert waited is not None
    assert 2_000 <= waited < 6_000


async def test_of_a_job_whose_worker_was_lost_nobody_knows_since_when_it_was_due(
    bench: Bench,
) -> None:
    request = await bench.submit()
    await bench.claimed(request)
    bench.clock.advance(LEASE_SECONDS + 1)
    started = (await bench.claimed(request, "w2")).trail.head
    assert (started.after.epoch, started.duration_ms) == (2, None)


async def test_an_old_first_message_is_not_trusted_without_a_look(bench: Bench) -> None:
    request = await bench.submit()
    message = await bench.message(request)
    bench.clock.advance(25 * 3600)
    result = await bench.claimer().claim(message, lease_id=new_lease_id())
    assert isinstance(result, Claimed)
    assert bench.trail.calls["newest"] == 1


async def test_a_waiting_job_past_its_deadline_ends_timed_out(bench: Bench) -> None:
    claimed = await bench.claimed(await bench.submit())
    waiting = claimed.trail.head.after
    deadline = bench.clock.now() + timedelta(seconds=60)
    await bench.end(claimed, "Waiting", due_at=deadline)
    assert waiting.state is State.RUNNING
    bench.clock.advance(61)
    result = await bench.claim(claimed.request, "w2")
    assert isinstance(result, Ended)
    assert result.head.status == "TimedOut"


async def test_jobs_with_a_lock_key_keep_each_other_out(bench: Bench) -> None:
    first, second = await bench.submit(lock_key="k"), await bench.submit(lock_key="k")
    claimed = await bench.claimed(first)
    result = await bench.claim(second, "w2")
    assert isinstance(result, Busy)
    await bench.end(claimed)
    assert (await bench.claimed(second, "w2")).trail.head.after.lock_turn == 2


async def test_a_retry_gets_the_defaults_of_its_message(bench: Bench) -> None:
    request = await bench.submit()
    assert (await bench.claimed(request)).defaults == DEFAULTS


async def test_a_foreign_message_with_another_body_starts_what_the_trail_says(bench: Bench) -> None:
    request = await bench.submit(payload="A", lock_key="ka")
    other = request.model_copy(update={"payload": "B", "lock_key": "kb"})
    result = await bench.claimer().claim(JobMessage(request=other), lease_id=new_lease_id())
    assert isinstance(result, Claimed)
    assert (result.request.payload, result.lease.lock) == ("A", key_lock("ka"))
