"""Scope ``worker``: a worker keeps one lock, and all its jobs without a lock key rest on it."""

import asyncio
import time
from contextlib import suppress
from typing import Any

import pytest

from jobfleet_contracts.errors import LockMissing
from jobfleet_contracts.lease import WORKER_LOCKS, job_lock, key_lock, worker_lock
from jobfleet_contracts.lookup_keys import lost_by
from jobfleet_contracts.state import State, Status
from jobfleet_protocol.trail.transitions import Change
from jobfleet_worker import handler
from jobfleet_worker.handlers.context import JobContext
from jobfleet_worker.run import job_run, lease_keeper
from jobfleet_worker.run.job_run import JobRun
from jobfleet_worker.upkeep import rescuer
from tests.polling import eventually
from tests.protocol.steered_clock import SteeredClock
from tests.worker.workshop import LEASE_SECONDS, Workshop

SCOPE = {"lock_scope": "worker"}
JOBS = 12


@handler("quick")
async def quick(payload: int) -> int:
    return payload


@handler("endless")
async def endless(context: JobContext) -> int:
    """Only a later claim ends."""
    if context.epoch == 1:
        await asyncio.Event().wait()
    return context.epoch


async def leased(workshop: Workshop, prefix: str = WORKER_LOCKS) -> frozenset[str]:
    return await workshop.real.locks.leased(prefix)


async def until_running(workshop: Workshop, *job_ids: str) -> None:
    for job_id in job_ids:
        await workshop.until_state(job_id, State.RUNNING)


async def test_all_jobs_of_a_worker_rest_on_its_lock_and_none_asks_for_another(
    workshop: Workshop,
) -> None:
    worker = workshop.start_worker(quick, **SCOPE)
    job_ids = [await workshop.submit("quick", n) for n in range(JOBS)]
    ended = [await workshop.until_ended(job_id) for job_id in job_ids]
    assert {event.after.lock for event in ended} == {worker_lock("w1", 1)}
    # A job with a lock of its own would remove it.
    assert workshop.leases.calls["delete"] == 0
    await worker.stop()
    assert await leased(workshop) == frozenset()
    await workshop.verified()


async def test_a_clean_stop_deletes_the_lock_and_hands_back_what_runs(workshop: Workshop) -> None:
    worker = workshop.start_worker(endless, **SCOPE, drain_seconds=0.1)
    job_id = await workshop.submit("endless")
    await until_running(workshop, job_id)
    await worker.stop()
    assert await leased(workshop) == frozenset()
    assert (await workshop.head(job_id)).kind is Status.DEFERRED
    workshop.start_worker(endless, **SCOPE)
    ended = await workshop.until_ended(job_id)
    assert ended.after.lock == worker_lock("w2", 1)
    assert "TakenOver" not in await workshop.statuses(job_id)


async def test_a_worker_that_lost_its_lock_goes_on_under_the_next_generation(
    workshop: Workshop,
) -> None:
    workshop.start_worker(endless, quick, **SCOPE, concurrency=4, rescue_seconds=2)
    jobs = [await workshop.submit("endless") for _ in range(3)]
    await until_running(workshop, *jobs)
    # An operator breaks the lease: the next renewal is refused, and three jobs are lost at once.
    await break_lease(workshop, worker_lock("w1", 1))
    ended = [await workshop.until_ended(job_id) for job_id in jobs]
    assert {event.after.lock for event in ended} == {worker_lock("w1", 2)}
    assert [await workshop.statuses(job_id) for job_id in jobs] == [
        ["Queued", "Started", "TakenOver", "Started", "Completed"]
    ] * 3
    await workshop.verified()


async def break_lease(workshop: Workshop, lock: str) -> None:
    """Delete a lock, as an operator may who breaks its lease."""
    assert lock in await leased(workshop)
    await workshop.real.locks._database.write(  # type: ignore[attr-defined]
        lambda connection: connection.execute("DELETE FROM locks WHERE lock = ?", (lock,))
    )


async def test_a_dead_workers_jobs_are_all_found_with_one_question_about_its_lock(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rescuer, "PUBLISHED_A_SECOND", 4)
    jobs = [await workshop.submit_unpublished("quick", n) for n in range(JOBS)]
    for job in jobs:
        await workshop.append(
            job.job_id,
            Change(kind=Status.STARTED, worker_id="dead", lock=worker_lock("dead", 1)),
        )
    before = workshop.leases.calls["is_leased"]
    workshop.start_worker(quick, concurrency=2)
    began = asyncio.get_running_loop().time()
    for job in jobs:
        ended = await workshop.until_ended(job.job_id)
        assert ended.after.lock == job_lock(job.job_id)  # the taker has another scope
    # Each claim asks too; the sweep asks once for all of them, and publishes four a second.
    assert workshop.leases.calls["is_leased"] - before <= JOBS + 1
    assert asyncio.get_running_loop().time() - began >= JOBS // 4 - 1


@pytest.mark.parametrize("place", ["run", "record"])
async def test_a_job_that_is_given_up_after_its_claim_is_written_off_and_runs_again(
    workshop: Workshop, clock: SteeredClock, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    original = getattr(JobRun, f"_{place}" if place == "record" else place)
    failures = iter([True])

    async def fail_once(self: JobRun, *arguments: Any) -> Any:
        if next(failures, False):
            raise RuntimeError("a mistake of ours")
        return await original(self, *arguments)

    monkeypatch.setattr(JobRun, f"_{place}" if place == "record" else place, fail_once)
    workshop.start_worker(quick, **SCOPE)
    job_id = await workshop.submit("quick", 1)
    given_back = await workshop.until_state(job_id, State.DEFERRED)
    assert given_back.data == {"reason": "internal"}
    assert worker_lock("w1", 1) in await leased(workshop)
    clock.advance(60)
    ended = await workshop.until_ended(job_id)
    assert ended.after.state is State.COMPLETED
    await workshop.verified()


async def test_a_job_that_must_not_run_twice_fails_where_it_is_given_up(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(self: JobRun) -> None:
        raise RuntimeError("a mistake of ours")

    monkeypatch.setattr(JobRun, "run", fail)
    workshop.start_worker(quick, **SCOPE)
    ended = await workshop.run("quick", 1, on_lost="fail")
    assert ended.data["error"]["type"] == "WorkerLost"
    assert await workshop.statuses(ended.job_id) == ["Queued", "Started", "Failed"]
    await workshop.verified()


async def test_a_claim_that_lands_after_it_was_given_up_is_answered(
    workshop: Workshop, clock: SteeredClock
) -> None:
    workshop.start_worker(quick, **SCOPE)
    first = await workshop.submit("quick", 0)
    await workshop.until_ended(first)
    workshop.trail.lose_reply("insert", error=RuntimeError("a mistake of ours"))
    job_id = await workshop.submit("quick", 1)
    await workshop.until_state(job_id, State.DEFERRED)
    assert await workshop.statuses(job_id) == ["Queued", "Started", "Deferred"]
    workshop.trail.lose_request("insert", error=RuntimeError("a mistake of ours"))
    other = await workshop.submit("quick", 2)
    await workshop.until_state(other, State.DEFERRED)
    assert await workshop.statuses(other) == ["Queued", "Deferred"]  # in the claim's place
    clock.advance(60)
    assert (await workshop.until_ended(job_id)).after.state is State.COMPLETED
    assert (await workshop.until_ended(other)).after.state is State.COMPLETED
    await workshop.verified()


async def test_where_nothing_can_be_written_the_lock_is_left_and_released(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("a mistake of ours")

    worker = workshop.start_worker(quick, **SCOPE)
    with monkeypatch.context() as patch:
        patch.setattr(JobRun, "run", fail)
        patch.setattr(worker.worker._claiming.give_back, "_write", fail)
        job_id = await workshop.submit("quick", 1)

        async def is_released() -> bool:
            return worker_lock("w1", 1) not in await leased(workshop)

        await until_running(workshop, job_id)
        await eventually("the generation is released", is_released, seconds=2 * LEASE_SECONDS)
    ended = await workshop.until_ended(job_id)
    assert ended.after.lock == worker_lock("w1", 2)


async def test_a_job_past_its_limit_costs_its_neighbour_nothing(workshop: Workshop) -> None:
    release = asyncio.Event()

    @handler("stubborn", timeout=0.2, max_attempts=1)
    async def stubborn() -> None:
        while not release.is_set():
            with suppress(asyncio.CancelledError):
                await release.wait()

    @handler("patient")
    async def patient() -> str:
        await release.wait()
        return "done"

    workshop.start_worker(stubborn, patient, **SCOPE, concurrency=3)
    neighbour = await workshop.submit("patient")
    await until_running(workshop, neighbour)
    ended = await workshop.run("stubborn")
    assert ended.after.state is State.TIMED_OUT
    assert "left behind" in ended.message
    release.set()
    done = await workshop.until_ended(neighbour)
    assert (done.after.lock, done.after.epoch) == (worker_lock("w1", 1), 1)


@pytest.mark.parametrize("on_lost", [None, "fail"])
async def test_a_job_that_blocks_the_loop_costs_the_lock_and_its_neighbour_is_not_blamed(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch, on_lost: Any
) -> None:
    monkeypatch.setattr(job_run, "LAST_SECONDS", 0)
    monkeypatch.setattr(lease_keeper, "ANSWER_SECONDS", 0.3)

    @handler("blocking", timeout=0.3)
    async def blocking(context: JobContext) -> int:
        if context.epoch == 1:
            time.sleep(2)  # noqa: ASYNC251 - the mistake that costs a worker its lock
        return context.epoch

    workshop.start_worker(blocking, endless, **SCOPE, concurrency=3, rescue_seconds=1)
    neighbour = await workshop.submit("endless", on_lost=on_lost)
    await until_running(workshop, neighbour)
    culprit = await workshop.submit("blocking")
    await workshop.until_ended(culprit)
    await workshop.until_ended(neighbour)
    history = await workshop.history(neighbour)
    (taken,) = [event for event in history if event.kind is Status.TAKEN_OVER]
    assert taken.data == {"suspect": culprit, **lost_by("w1")}
    assert f"job {culprit} blocked it" in taken.message
    # What must not run twice fails all the same: what it did is not known.
    must_not_run_twice = on_lost == "fail"
    assert taken.after.takeovers == must_not_run_twice
    ended = State.FAILED if must_not_run_twice else State.COMPLETED
    assert history[-1].after.state is ended
    await workshop.verified()


async def test_a_job_with_a_lock_key_rests_on_its_key_and_frees_it(workshop: Workshop) -> None:
    workshop.start_worker(quick, **SCOPE)
    ended = [await workshop.run("quick", n, lock_key="k") for n in range(2)]
    assert [event.after.lock for event in ended] == [key_lock("k")] * 2
    assert [event.after.lock_turn for event in ended] == [1, 2]
    await workshop.verified()


async def test_a_suspect_runs_alone_on_its_workers_lock(workshop: Workshop) -> None:
    request = await workshop.submit_unpublished("quick", 7)
    changes: list[Change] = []
    for number in range(3):
        worker_id = f"lost-{number}"
        if number:
            changes.append(Change(kind=Status.TAKEN_OVER, continues=True, worker_id=worker_id))
        lock = worker_lock(worker_id, 1)
        changes.append(Change(kind=Status.STARTED, worker_id=worker_id, lock=lock))
    await workshop.append(request.job_id, *changes)
    workshop.start_worker(quick, **SCOPE)
    ended = await workshop.until_ended(request.job_id)
    assert ended.after.lock == worker_lock("w1", 1)
    statuses = await workshop.statuses(request.job_id)
    assert statuses[-4:] == ["TakenOver", "Deferred", "Started", "Completed"]
    await workshop.verified()


async def test_a_fleet_changes_its_scope_while_it_works(workshop: Workshop) -> None:
    old = workshop.start_worker(endless, quick, concurrency=4)
    lost = [await workshop.submit("endless") for _ in range(2)]
    await until_running(workshop, *lost)
    new = workshop.start_worker(endless, quick, **SCOPE, concurrency=4)
    jobs = [await workshop.submit("quick", n) for n in range(JOBS)]
    for job_id in jobs:
        await workshop.until_ended(job_id)
    await old.stop(seconds=30)
    for job_id in lost:
        assert (await workshop.until_ended(job_id)).after.lock == worker_lock("w2", 1)
    await new.stop()
    await workshop.verified()


async def test_old_locks_of_dead_workers_are_removed_and_live_ones_stay(
    workshop: Workshop, clock: SteeredClock
) -> None:
    dead = worker_lock("dead", 1)
    await workshop.real.leases.create(dead)
    await workshop.real.leases.acquire(dead, "an id", LEASE_SECONDS)
    clock.advance(LEASE_SECONDS + 25 * 3600)
    workshop.start_worker(quick, **SCOPE)

    async def is_gone() -> bool:
        try:
            await workshop.real.locks.read_note(dead)
        except LockMissing:
            return True
        return False

    await eventually("the dead worker's lock is removed", is_gone)
    assert await leased(workshop) == {worker_lock("w1", 1)}


async def test_storage_away_at_the_start_only_delays_the_first_claim(workshop: Workshop) -> None:
    workshop.leases.lose_request("acquire", times=3)
    workshop.start_worker(quick, **SCOPE)
    ended = await workshop.run("quick", 1)
    assert ended.after.lock == worker_lock("w1", 1)
