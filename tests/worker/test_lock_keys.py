"""Jobs that share a lock key, and a fleet that runs one job at a time."""

import asyncio
import time
from collections.abc import Sequence
from datetime import timedelta
from itertools import pairwise

import pytest
import structlog

from jobfleet_contracts.event import Event
from jobfleet_contracts.lease import key_lock, key_locks
from jobfleet_contracts.state import State
from jobfleet_protocol.actions.write_side import WriteSide
from jobfleet_protocol.claiming.lock_leases import new_lease_id
from jobfleet_protocol.control.pause_state import NO_PAUSES
from jobfleet_worker import JobContext, handler
from jobfleet_worker.upkeep.lock_waiters import LockWaiters
from tests.polling import eventually
from tests.protocol.steered_clock import SteeredClock
from tests.worker.test_cancelling import until_running, wait_for_ever
from tests.worker.workshop import DEFAULTS, LEASE_SECONDS, Workshop


@handler("short")
async def short(payload: float | None, context: JobContext) -> None:
    await context.progress(1)
    await asyncio.sleep(payload or 0.1)


async def runs(workshop: Workshop, job_ids: Sequence[str]) -> list[tuple[Event, Event]]:
    """The claim and the end of each job, in order of the claims."""
    found = []
    for job_id in job_ids:
        history = await workshop.history(job_id)
        started = next(event for event in history if event.status == "Started")
        found.append((started, history[-1]))
    return sorted(found, key=lambda run: run[0].occurred_at)


async def test_the_next_job_starts_when_the_lock_is_free_and_not_at_the_next_poll(
    workshop: Workshop,
) -> None:
    workshop.start_worker(short, defer_seconds=30)
    job_ids = [await workshop.submit("short", 0.4, lock_key="k") for _ in range(4)]
    for job_id in job_ids:
        await workshop.until_ended(job_id)
    found = await runs(workshop, job_ids)
    for (_, ended), (started, _) in pairwise(found):
        pause = started.occurred_at - ended.occurred_at
        assert timedelta(0) <= pause < timedelta(seconds=1)
    assert [started.after.lock_turn for started, _ in found] == [1, 2, 3, 4]


async def test_jobs_scheduled_for_later_do_not_hide_the_next_one_from_the_holder(
    workshop: Workshop, clock: SteeredClock
) -> None:
    tonight = clock.now() + timedelta(hours=8)
    for _ in range(8):
        await workshop.submit("short", lock_key="k", run_at=tonight)
    workshop.start_worker(short, defer_seconds=30)
    first = await workshop.submit("short", 0.4, lock_key="k")
    await until_running(workshop, first)
    second = await workshop.submit("short", lock_key="k")
    await workshop.until_ended(first)
    await workshop.until_ended(second, seconds=5)


async def test_jobs_of_two_keys_do_not_wait_for_each_other(workshop: Workshop) -> None:
    workshop.start_worker(short, wait_for_ever)
    blocking = await workshop.submit("async", lock_key="a")
    await until_running(workshop, blocking)
    other = await workshop.submit("short", lock_key="b")
    assert (await workshop.until_ended(other, seconds=5)).status == "Completed"


async def test_a_job_that_waits_for_a_lock_says_so_once_and_costs_one_message(
    workshop: Workshop,
) -> None:
    workshop.start_worker(short, wait_for_ever, defer_seconds=0.2)
    first = await workshop.submit("async", lock_key="k")
    await until_running(workshop, first)
    second = await workshop.submit("short", lock_key="k")
    await workshop.until_state(second, State.DEFERRED)

    async def came_back_twice() -> bool:
        return workshop.queue.calls["publish_later"] >= 3

    await eventually("the message is put off again", came_back_twice)
    assert await workshop.statuses(second) == ["Queued", "Deferred"]
    assert workshop.queue.calls["publish"] == 0  # the rescuer did not double the message
    (row,) = await workshop.real.reader.lock_waiters("k")
    assert row.published == row.sequence == 2
    await workshop.canceller.cancel(first, by=None)
    assert (await workshop.until_ended(second)).status == "Completed"


async def test_releases_before_the_next_job_starts_add_few_copies_of_its_message(
    workshop: Workshop, clock: SteeredClock
) -> None:
    for _ in range(3):
        await workshop.submit("short", lock_key="k")
    await workshop.real.index.flush()
    writes = WriteSide.wire(backend=workshop.backend, clock=clock, defaults=DEFAULTS)
    waiters = LockWaiters(
        trail=workshop.real.trail,
        reader=workshop.real.reader,
        locks=workshop.real.locks,
        payloads=workshop.real.payloads,
        publication=writes.publication,
        clock=clock,
        pauses=lambda: NO_PAUSES,
    )
    before = workshop.queue.calls["publish"]
    for _ in range(10):
        await waiters.publish_next("k", slots=1, ended="another")
    assert workshop.queue.calls["publish"] - before == 1
    clock.advance(11)
    await waiters.publish_next("k", slots=1, ended="another")
    assert workshop.queue.calls["publish"] - before == 2


@pytest.mark.parametrize("slots", [1, 3])
async def test_a_job_starts_with_the_next_sweep_where_the_last_holder_died_before_it_told(
    workshop: Workshop, slots: int
) -> None:
    leases, lease_id = workshop.real.leases, new_lease_id()
    for lock in key_locks("k", slots):
        await leases.create(lock)
        await leases.acquire(lock, lease_id, 60)
    workshop.start_worker(short, defer_seconds=40, rescue_seconds=0.2)
    job_ids = [await workshop.submit("short", lock_key="k", lock_slots=slots) for _ in range(2)]
    for job_id in job_ids:
        await workshop.until_state(job_id, State.DEFERRED)
    await leases.release(key_locks("k", slots)[-1], lease_id)
    for job_id in job_ids:
        await workshop.until_ended(job_id, seconds=20)


async def test_three_at_a_time_run_and_each_release_starts_the_next(workshop: Workshop) -> None:
    running: set[str] = set()
    most: list[int] = []

    @handler("counted")
    async def counted(payload: None, context: JobContext) -> None:
        running.add(context.job.job_id)
        most.append(len(running))
        await asyncio.sleep(0.1)
        running.discard(context.job.job_id)

    for _ in range(2):
        workshop.start_worker(counted, defer_seconds=40)
    job_ids = [await workshop.submit("counted", lock_key="k", lock_slots=3) for _ in range(12)]
    for job_id in job_ids:
        await workshop.until_ended(job_id, seconds=30)
    assert max(most) == 3
    found = await runs(workshop, job_ids)
    assert {started.after.lock for started, _ in found} == set(key_locks("k", 3))


async def test_the_successor_fences_a_holder_that_sleeps(
    workshop: Workshop, clock: SteeredClock
) -> None:
    sleeper = workshop.start_worker(wait_for_ever, short, rescue_seconds=60)
    first = await workshop.submit("async", lock_key="k")
    await until_running(workshop, first)
    execution = sleeper.worker.executor.running[first]
    # A sweep before the second submit would publish the first job, which would take the lock again.
    # So the second worker stands for election while the first one's lease is good: in vain.
    elections = workshop.leases.calls["acquire"]
    workshop.start_worker(wait_for_ever, short, rescue_seconds=60)

    async def has_stood() -> bool:
        return workshop.leases.calls["acquire"] > elections

    await eventually("the second worker stands for election", has_stood)
    clock.advance(LEASE_SECONDS * 2)
    second = await workshop.submit("short", lock_key="k")
    await workshop.until_ended(second)
    taken = [e for e in await workshop.history(first) if e.status == "TakenOver"]
    assert taken
    assert taken[0].after.epoch == execution.trail.epoch + 1
    await workshop.canceller.cancel(first, by=None)
    await workshop.until_ended(first)


async def test_a_lost_job_under_a_lock_key_runs_again(
    workshop: Workshop, clock: SteeredClock
) -> None:
    @handler("job")
    async def work(payload: None, context: JobContext) -> int:
        await context.progress(1)
        if context.epoch == 1:
            await asyncio.Event().wait()
        return context.epoch

    workshop.start_worker(work)
    job_id = await workshop.submit("job", lock_key="k")
    await until_running(workshop, job_id)
    clock.advance(LEASE_SECONDS * 2)
    head = await workshop.until_ended(job_id)
    assert head.data["result"] >= 2


async def test_a_fleet_of_three_runs_one_job_at_a_time_without_deferrals(
    workshop: Workshop,
) -> None:
    for _ in range(3):
        workshop.start_worker(short, lock_scope="fleet")
    job_ids = [await workshop.submit("short", 0.05) for _ in range(8)]
    for job_id in job_ids:
        await workshop.until_ended(job_id)
        assert "Deferred" not in await workshop.statuses(job_id)
    for (_, ended), (started, _) in pairwise(await runs(workshop, job_ids)):
        assert started.occurred_at >= ended.occurred_at


async def test_an_idle_worker_gives_the_fleets_lease_up(workshop: Workshop) -> None:
    with structlog.testing.capture_logs() as logs:
        workshop.start_worker(short, lock_scope="fleet")
        workshop.start_worker(short, lock_scope="fleet")

        async def taken_three_times() -> bool:
            return [e["event"] for e in logs].count("fleet_lease.taken") >= 3

        await eventually("turns without work", taken_three_times, seconds=12)


async def test_a_fleet_worker_that_drains_keeps_the_lease_until_its_job_has_ended(
    workshop: Workshop,
) -> None:
    first = workshop.start_worker(short, lock_scope="fleet")
    job_ids = [await workshop.submit("short", 1.0) for _ in range(2)]

    async def one_runs() -> str | None:
        for job_id in job_ids:
            if "Step 1" in await workshop.statuses(job_id):
                return job_id
        return None

    await eventually("a job runs", one_runs)
    workshop.start_worker(short, lock_scope="fleet")
    await first.stop()
    for job_id in job_ids:
        await workshop.until_ended(job_id)
    (_, ended), (started, _) = await runs(workshop, job_ids)
    assert started.occurred_at >= ended.occurred_at
    assert started.worker_id != ended.worker_id


async def test_a_fleet_worker_without_a_broker_leaves_the_lease_to_others(
    workshop: Workshop,
) -> None:
    running = workshop.start_worker(short, lock_scope="fleet")
    source = workshop.spoil_source(running)
    source.lose_request("receive", times=1000)

    async def has_asked() -> bool:
        return source.calls["receive"] > 0

    await eventually("the worker asks its broker", has_asked)
    before = source.calls["receive"]
    await asyncio.sleep(1)  # the subject: how often it asks in a second
    assert source.calls["receive"] - before <= 1
    workshop.start_worker(short, lock_scope="fleet")
    began = time.monotonic()
    job_id = await workshop.submit("short")
    await workshop.until_ended(job_id)
    assert time.monotonic() - began < 6
    assert (await workshop.head(job_id)).worker_id == "w2"


async def test_an_abandoned_handler_does_not_keep_the_lock_of_its_key(
    workshop: Workshop,
) -> None:
    stay = asyncio.Event()

    @handler("deaf")
    async def deaf(payload: None, context: JobContext) -> None:
        await context.progress(1)
        while not stay.is_set():
            try:
                await stay.wait()
            except asyncio.CancelledError:
                continue

    workshop.start_worker(deaf, short)
    first = await workshop.submit("deaf", lock_key="k")
    await until_running(workshop, first)
    second = await workshop.submit("short", lock_key="k")
    await workshop.canceller.cancel(first, by=None)
    await workshop.until_ended(second, seconds=8)
    stay.set()

    async def released() -> bool:
        return not await workshop.real.leases.is_leased(key_lock("k"))

    await eventually("the lock is free", released)
