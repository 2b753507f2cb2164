"""JobClaims: a claim's event and the lease it rests on come into being at once."""

from __future__ import annotations

import asyncio

import pytest

from jobfleet_contracts.backend import Backend
from jobfleet_contracts.errors import LeaseConflict, SequenceTaken
from jobfleet_contracts.event import Event
from jobfleet_contracts.job_claims import JobClaims
from jobfleet_contracts.lease import job_lock
from jobfleet_protocol.claiming.lock_leases import new_lease_id
from tests.conformance.conftest import SIMULATED
from tests.conformance.jobs import queued, started, write

POSTGRES = pytest.param("postgres", marks=pytest.mark.servers)
IN_ONE_TRANSACTION = pytest.mark.parametrize("settings", [POSTGRES, SIMULATED], indirect=True)
SECONDS = 30.0


@pytest.fixture
def claims(backend: Backend) -> JobClaims:
    assert backend.claims is not None
    return backend.claims


async def a_queued_job(backend: Backend) -> Event:
    event = queued()
    await write(backend, event)
    return event


@IN_ONE_TRANSACTION
async def test_lease_and_event_stand_together(backend: Backend, claims: JobClaims) -> None:
    first = await a_queued_job(backend)
    lock, lease_id = job_lock(first.job_id), new_lease_id()
    event = started(first)
    await claims.write(lock, lease_id, SECONDS, event)
    assert await backend.trail.newest(first.job_id) == event
    assert await backend.leases.is_leased(lock)
    await backend.leases.renew(lock, lease_id, SECONDS)


@IN_ONE_TRANSACTION
async def test_nothing_is_written_under_a_lock_of_another_holder(
    backend: Backend, claims: JobClaims
) -> None:
    first = await a_queued_job(backend)
    lock, holder = job_lock(first.job_id), new_lease_id()
    await backend.leases.acquire(lock, holder, SECONDS, create=True)
    with pytest.raises(LeaseConflict):
        await claims.write(lock, new_lease_id(), SECONDS, started(first))
    assert await backend.trail.newest(first.job_id) == first
    await backend.leases.renew(lock, holder, SECONDS)


@IN_ONE_TRANSACTION
async def test_a_released_lock_is_taken(backend: Backend, claims: JobClaims) -> None:
    first = await a_queued_job(backend)
    lock, earlier, lease_id = job_lock(first.job_id), new_lease_id(), new_lease_id()
    await backend.leases.acquire(lock, earlier, SECONDS, create=True)
    await backend.leases.release(lock, earlier)
    await claims.write(lock, lease_id, SECONDS, started(first))
    await backend.leases.renew(lock, lease_id, SECONDS)


@IN_ONE_TRANSACTION
async def test_an_event_whose_place_is_taken_leaves_the_lease(
    backend: Backend, claims: JobClaims
) -> None:
    first = await a_queued_job(backend)
    other = started(first, worker_id="w2")
    await backend.trail.insert([other])
    lock, lease_id = job_lock(first.job_id), new_lease_id()
    with pytest.raises(SequenceTaken):
        await claims.write(lock, lease_id, SECONDS, started(first))
    assert await backend.trail.newest(first.job_id) == other
    await backend.leases.renew(lock, lease_id, SECONDS)


@IN_ONE_TRANSACTION
async def test_the_same_claim_again_finds_its_own_event(
    backend: Backend, claims: JobClaims
) -> None:
    first = await a_queued_job(backend)
    lock, lease_id, event = job_lock(first.job_id), new_lease_id(), started(first)
    await claims.write(lock, lease_id, SECONDS, event)
    with pytest.raises(SequenceTaken):
        await claims.write(lock, lease_id, SECONDS, event)
    assert await backend.trail.newest(first.job_id) == event


@IN_ONE_TRANSACTION
async def test_of_many_claims_at_once_each_has_its_own_answer(
    backend: Backend, claims: JobClaims
) -> None:
    jobs = [await a_queued_job(backend) for _ in range(6)]
    holder = new_lease_id()
    await backend.leases.acquire(job_lock(jobs[0].job_id), holder, SECONDS, create=True)
    await backend.trail.insert([started(jobs[1], worker_id="w2")])
    asked = [
        claims.write(job_lock(each.job_id), new_lease_id(), SECONDS, started(each))
        for each in [*jobs, jobs[5]]  # the last job by two workers
    ]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert isinstance(answers[0], LeaseConflict)
    assert isinstance(answers[1], SequenceTaken)
    assert answers[2:5] == [None] * 3
    assert answers[5] is None
    assert isinstance(answers[6], LeaseConflict)
