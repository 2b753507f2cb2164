"""A claim whose lease is taken in the same transaction, whatever is not answered."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest

from jobfleet_contracts.backend import Backend
from jobfleet_contracts.event import Event
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.lease import job_lock
from jobfleet_contracts.state import State
from jobfleet_protocol.claiming.claim_result import Claimed
from jobfleet_protocol.claiming.decision import Attended, Busy, Ended, Wait
from jobfleet_protocol.claiming.lock_leases import new_lease_id
from tests.protocol.bench import LEASE_SECONDS, Bench
from tests.protocol.faulty_port import FaultyPort


@dataclass
class _Claims:
    """Stands for a backend whose locks and trail share a database."""

    real: Backend

    async def write(self, lock: str, lease_id: str, seconds: float, event: Event) -> None:
        await self.real.leases.acquire(lock, lease_id, seconds, create=True)
        await self.real.trail.insert([event])


@pytest.fixture
def claims(bench: Bench) -> FaultyPort:
    port = FaultyPort(_Claims(bench.real))
    bench.backend = replace(bench.backend, claims=port)
    return port


async def lease_elsewhere(bench: Bench, request: JobRequest) -> str:
    lease_id = new_lease_id()
    lock = job_lock(request.job_id)
    await bench.real.leases.acquire(lock, lease_id, LEASE_SECONDS, create=True)
    return lease_id


async def test_one_write_claims_a_fresh_job(bench: Bench, claims: FaultyPort) -> None:
    request = await bench.submit()
    claimed = await bench.claimed(request)
    after = claimed.trail.head.after
    assert (after.state, after.epoch, after.lock) == (State.RUNNING, 1, job_lock(request.job_id))
    assert claimed.lease.lock == job_lock(request.job_id)
    assert claims.calls["write"] == 1
    assert bench.leases.calls["acquire"] == bench.trail.calls["newest"] == 0
    await bench.real.leases.renew(claimed.lease.lock, claimed.lease.lease_id, LEASE_SECONDS)


async def test_trust_counts_from_before_the_first_copy(bench: Bench, claims: FaultyPort) -> None:
    request = await bench.submit()
    began = bench.clock.boottime()

    async def sleep() -> None:
        bench.clock.advance(LEASE_SECONDS / 3)

    claims.before("write", sleep)
    claimed = await bench.claimed(request)
    assert claimed.lease.trusted_until < began + LEASE_SECONDS


@pytest.mark.parametrize("lost", ["lose_request", "lose_reply"])
async def test_a_claim_that_was_not_answered_is_repeated_as_it_was(
    bench: Bench, claims: FaultyPort, lost: str
) -> None:
    getattr(claims, lost)("write")
    request = await bench.submit()
    assert isinstance(await bench.claim(request), Claimed)
    assert await bench.statuses(request.job_id) == ["Queued", "Started"]


async def test_a_lock_of_another_holder_keeps_the_job_from_it(
    bench: Bench, claims: FaultyPort
) -> None:
    request = await bench.submit()
    await lease_elsewhere(bench, request)
    assert isinstance(await bench.claim(request), Busy | Attended)
    assert await bench.statuses(request.job_id) == ["Queued"]


async def test_a_claim_that_may_still_land_outlasts_a_holder_that_comes_between(
    bench: Bench, claims: FaultyPort
) -> None:
    request = await bench.submit()

    async def lease() -> None:
        lease_id = await lease_elsewhere(bench, request)
        release = bench.real.leases.release(job_lock(request.job_id), lease_id)
        releases.append(asyncio.create_task(_later(release)))

    releases: list[asyncio.Task[None]] = []
    claims.lose_request("write")
    claims.before("write", lease)
    assert isinstance(await bench.claim(request), Claimed)
    await asyncio.gather(*releases)
    assert await bench.statuses(request.job_id) == ["Queued", "Started"]
    assert claims.calls["write"] > 2


async def test_a_wrong_assumption_looks_again_under_the_same_lease(
    bench: Bench, claims: FaultyPort
) -> None:
    request = await bench.submit()
    message = await bench.message(request)
    await bench.canceller.cancel(request.job_id, by=None)
    result = await bench.claimer().claim(message, lease_id=new_lease_id())
    assert isinstance(result, Ended)
    assert await bench.real.locks.leased() == frozenset()


async def test_of_ten_workers_one_runs_the_job(bench: Bench, claims: FaultyPort) -> None:
    request = await bench.submit()
    results = await asyncio.gather(*(bench.claim(request, f"w{n}") for n in range(10)))
    assert sum(isinstance(result, Claimed) for result in results) == 1
    assert (await bench.statuses(request.job_id)).count("Started") == 1


@pytest.mark.parametrize("fields", [{"lock_key": "k"}, {"run_at": 50}])
async def test_a_job_that_needs_more_than_its_lock_is_claimed_in_steps(
    bench: Bench, claims: FaultyPort, fields: dict[str, object]
) -> None:
    if "run_at" in fields:
        fields = {"run_at": bench.clock.now() + timedelta(seconds=50)}
    request = await bench.submit(**fields)
    assert isinstance(await bench.claim(request), Claimed | Wait)
    assert claims.calls["write"] == 0


async def _later(work: object) -> None:
    await asyncio.sleep(0)
    await work  # type: ignore[misc]
