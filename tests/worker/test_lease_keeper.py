"""Leases are renewed whatever the handlers do, and given up when they cannot be."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any

import pytest
import structlog

from jobfleet_contracts.errors import BackendUnavailable, LeaseConflict
from jobfleet_contracts.lease import Lease, safety_margin, worker_lock
from jobfleet_contracts.ports import LeaseStore
from jobfleet_contracts.state import State
from jobfleet_worker import JobContext, handler
from jobfleet_worker.run import lease_keeper
from jobfleet_worker.run.lease_keeper import KeptLease, LeaseKeeper, Watch
from tests.polling import eventually
from tests.protocol.faulty_port import FaultyPort
from tests.protocol.steered_clock import SteeredClock
from tests.worker.test_cancelling import until_running, wait_for_ever
from tests.worker.workshop import LEASE_SECONDS, Workshop


class Keeping:
    """A keeper on the real lease store, and the port in front of it."""

    def __init__(self, workshop: Workshop) -> None:
        self._workshop = workshop
        self.renewals = FaultyPort(None)
        self.keeper = LeaseKeeper(
            open_leases=self._open,
            lease_seconds=LEASE_SECONDS,
            renew_seconds=0.7,
            clock=workshop.clock,
        )

    def _open(self) -> tuple[Any, Callable[[], Awaitable[None]]]:
        leases, close = self._workshop.real.renewal_leases()
        self.renewals._port = leases
        return self.renewals, close

    async def lease(self, lock: str = "job/aa/x") -> KeptLease:
        leases: LeaseStore = self._workshop.real.leases
        await leases.create(lock)
        sent_at = self._workshop.clock.boottime()
        await leases.acquire(lock, f"lease of {lock}", LEASE_SECONDS)
        trusted_until = sent_at + LEASE_SECONDS - safety_margin(LEASE_SECONDS)
        return self.keeper.keep(Lease(lock, "w1", f"lease of {lock}", trusted_until))


@pytest.fixture
async def keeping(workshop: Workshop) -> AsyncIterator[Keeping]:
    found = Keeping(workshop)
    found.keeper.start()
    yield found
    await asyncio.to_thread(found.keeper.stop)


async def lost(kept: KeptLease) -> str:
    async def reason() -> str | None:
        return kept.lost_reason

    lost_reason: str = await eventually("the lease is given up", reason, seconds=LEASE_SECONDS + 2)
    return lost_reason


async def test_renewal_on_the_handlers_loop_would_lose_the_lease_of_a_blocked_one(
    workshop: Workshop, keeping: Keeping
) -> None:
    kept = await keeping.lease()
    time.sleep(LEASE_SECONDS + 1)  # noqa: ASYNC251 - the point
    assert kept.lost_reason is None
    assert kept.trusted_until > workshop.clock.boottime()
    assert await workshop.real.leases.is_leased(kept.lock)


async def test_a_hundred_leases_are_renewed_on_time(workshop: Workshop, keeping: Keeping) -> None:
    kept = [await keeping.lease(f"job/aa/{n}") for n in range(100)]
    least = LEASE_SECONDS
    until = time.monotonic() + 3
    while time.monotonic() < until:
        now = workshop.clock.boottime()
        least = min(least, *(each.trusted_until - now for each in kept))
        await asyncio.sleep(0.02)
    assert all(each.lost_reason is None for each in kept)
    assert least > 0.3
    assert keeping.renewals.calls["renew"] >= 300


async def test_a_renewal_that_fails_a_few_times_is_survived(
    workshop: Workshop, keeping: Keeping
) -> None:
    keeping.renewals.lose_request("renew")
    kept = await keeping.lease()

    async def renewed() -> bool:
        return kept.trusted_until > kept.lease.trusted_until

    await eventually("a renewal", renewed)
    assert kept.lost_reason is None


async def test_a_renewal_that_hangs_holds_up_no_other_lease(
    workshop: Workshop, keeping: Keeping
) -> None:
    hang = threading.Event()

    async def wait() -> None:
        await asyncio.to_thread(hang.wait)
        raise BackendUnavailable("no answer in 3 s")

    keeping.renewals.before("renew", wait)
    stuck = await keeping.lease("job/aa/stuck")
    other = await keeping.lease("job/aa/other")

    async def other_renewed() -> bool:
        return other.trusted_until > other.lease.trusted_until

    await eventually("the other's renewals", other_renewed)
    hang.set()

    async def renewed() -> bool:
        return stuck.trusted_until > stuck.lease.trusted_until

    await eventually("a renewal after the hang", renewed)
    assert stuck.lost_reason is None


async def test_trust_ends_on_time_where_no_renewal_goes_through(
    workshop: Workshop, keeping: Keeping
) -> None:
    keeping.renewals.lose_request("renew", times=1000)
    kept = await keeping.lease()
    assert "in time" in await lost(kept)
    late = workshop.clock.boottime() - kept.trusted_until
    assert 0 <= late < 1


async def test_a_lease_that_another_holds_is_given_up_at_once(keeping: Keeping) -> None:
    refused = LeaseConflict("leased by somebody else")
    keeping.renewals.lose_request("renew", error=refused)
    kept = await keeping.lease()
    reasons: list[str] = []
    kept.watch("a job", Watch(float("inf"), reasons.append, lambda: None, lambda: None))
    assert "refused" in await lost(kept)
    await asyncio.sleep(0)
    renewals = keeping.renewals.calls["renew"]
    await asyncio.sleep(0.8)  # several looks of the keeper's thread
    assert keeping.renewals.calls["renew"] == renewals
    assert len(reasons) == 1


async def test_no_lease_is_renewed_after_its_attempt_should_have_ended(
    workshop: Workshop, keeping: Keeping
) -> None:
    kept = await keeping.lease()
    until = workshop.clock.boottime() + 0.5
    kept.watch("a job", Watch(until, lambda _: None, lambda: None, lambda: None))
    assert "time limit" in await lost(kept)


async def test_a_keeper_whose_connection_cannot_be_opened_tries_again(
    workshop: Workshop,
) -> None:
    keeping = Keeping(workshop)
    tries = []
    open_leases = keeping._open

    def opening() -> Any:
        tries.append(1)
        if len(tries) == 1:
            raise OSError("too many open files")
        return open_leases()

    keeping.keeper._open_leases = opening
    keeping.keeper.start()
    kept = await keeping.lease()

    async def renewed() -> bool:
        return kept.trusted_until > kept.lease.trusted_until

    await eventually("a renewal", renewed)
    await asyncio.to_thread(keeping.keeper.stop)


async def test_a_handler_that_blocks_the_loop_for_a_whole_lease_keeps_its_job(
    workshop: Workshop,
) -> None:
    @handler("job")
    async def block(payload: None, context: JobContext) -> int:
        time.sleep(LEASE_SECONDS + 0.5)  # noqa: ASYNC251 - the point
        return context.epoch

    workshop.start_worker(block)
    head = await workshop.run("job")
    assert head.data["result"] == 1
    assert "TakenOver" not in await workshop.statuses(head.job_id)


async def test_a_refused_renewal_cancels_that_job_alone_and_writes_nothing(
    workshop: Workshop,
) -> None:
    running = workshop.start_worker(wait_for_ever, rescue_seconds=60)
    lost_job, kept_job = await workshop.submit("async"), await workshop.submit("async")
    for job_id in (lost_job, kept_job):
        await until_running(workshop, job_id)
    head = await workshop.head(lost_job)
    lock = head.after.lock
    assert lock is not None
    execution = running.worker.executor.running[lost_job]
    await workshop.real.leases.release(lock, execution.lease.lease.lease_id)
    await workshop.real.leases.acquire(lock, "another's", 60)

    async def given_up() -> bool:
        return lost_job not in running.worker.executor.running

    await eventually("the job is given up", given_up)
    assert (await workshop.head(lost_job)).sequence == head.sequence
    assert kept_job in running.worker.executor.running
    assert (await workshop.head(kept_job)).after.state is State.RUNNING


async def test_a_lease_is_released_before_its_renewals_can_be_refused(
    workshop: Workshop,
) -> None:
    """An abandoned handler goes on for long; its lease must not look lost meanwhile."""
    stay = asyncio.Event()

    @handler("deaf")
    async def deaf(payload: None, context: JobContext) -> None:
        await context.progress(1)
        while not stay.is_set():
            try:
                await stay.wait()
            except asyncio.CancelledError:
                continue

    with structlog.testing.capture_logs() as logs:
        workshop.start_worker(deaf)
        job_id = await workshop.submit("deaf")
        await until_running(workshop, job_id)
        await workshop.canceller.cancel(job_id, by=None)
        await workshop.until_state(job_id, State.CANCELLED)
        await asyncio.sleep(1.2)  # a renewal would come in this time
        stay.set()
    assert "lease.lost" not in [entry["event"] for entry in logs]


async def test_a_renewal_that_is_answered_after_trust_ended_revives_nothing(
    workshop: Workshop, keeping: Keeping, clock: SteeredClock
) -> None:
    """Others may have seen the lock free, and taken its jobs over under other locks."""
    kept = await keeping.lease()

    async def sleep() -> None:
        clock.advance(LEASE_SECONDS)

    keeping.renewals.before("renew", sleep)
    assert "late" in await lost(kept) or kept.lost_reason == "it could not be renewed in time"
    await asyncio.sleep(1)  # several looks of the keeper's thread
    assert not kept.is_trusted()


async def test_the_jobs_of_a_workers_lock_hear_of_its_loss_and_of_renewals(
    keeping: Keeping,
) -> None:
    kept = await keeping.lease(worker_lock("w1", 1))
    changes: list[str] = []

    def note(job: int, what: str, *_: str) -> None:
        changes.append(f"{job} {what}")

    for job in range(3):
        watch = Watch(
            float("inf"),
            on_lost=partial(note, job, "lost"),
            on_renewed=partial(note, job, "renewed"),
            on_overdue=lambda: None,
        )
        kept.watch(job, watch)

    async def all_renewed() -> bool:
        return {f"{job} renewed" for job in range(3)} <= set(changes)

    await eventually("every job hears of a renewal", all_renewed)
    kept.leave(0)
    changes.clear()
    keeping.keeper.give_up(kept, "for a test")
    await asyncio.sleep(0)
    assert [each for each in changes if each.endswith("lost")] == ["1 lost", "2 lost"]


async def test_a_job_past_its_limit_does_not_cost_a_workers_lock_while_the_loop_answers(
    workshop: Workshop, keeping: Keeping, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease_keeper, "ANSWER_SECONDS", 1.0)
    kept = await keeping.lease(worker_lock("w1", 1))
    asked: list[float] = []

    def overdue() -> None:
        asked.append(workshop.clock.boottime())
        kept.leave("a job")

    until = workshop.clock.boottime() + 0.2
    kept.watch("a job", Watch(until, lambda _: None, lambda: None, overdue))

    async def is_asked() -> bool:
        return bool(asked)

    await eventually("the loop is asked", is_asked)
    kept.watch("another", Watch(0.0, lambda _: None, lambda: None, lambda: None))
    time.sleep(2)  # noqa: ASYNC251 - the loop does not answer
    assert "does not answer" in await lost(kept)
