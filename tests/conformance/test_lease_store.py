"""LeaseStore: after the documented rules of Azure's blob leases."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import pytest

from jobfleet_contracts.backend import Backend
from jobfleet_contracts.errors import LeaseConflict, LockMissing
from jobfleet_contracts.lease import job_lock
from tests.conformance.conftest import WITH_FAKES
from tests.conformance.jobs import an_id
from tests.polling import eventually

pytestmark = WITH_FAKES


@pytest.fixture
def mine() -> str:
    return str(uuid4())


@pytest.fixture
def theirs() -> str:
    return str(uuid4())


@pytest.fixture
async def lock(backend: Backend) -> str:
    name = job_lock(an_id())
    await backend.leases.create(name)
    return name


async def _expired(backend: Backend, lock: str, seconds: float) -> None:
    async def is_free() -> bool:
        return not await backend.leases.is_leased(lock)

    await eventually(f"the lease on {lock} runs out", is_free, seconds=seconds + 10)


async def test_a_lock_that_was_never_created_is_missing(backend: Backend, mine: str) -> None:
    for call in (backend.leases.acquire, backend.leases.renew):
        with pytest.raises(LockMissing):
            await call("job/00/none", mine, 30)
    assert not await backend.leases.is_leased("job/00/none")


async def test_a_missing_lock_is_created_with_its_lease(
    backend: Backend, other: Backend, mine: str, theirs: str
) -> None:
    lock = f"job/00/{mine}"
    await backend.leases.acquire(lock, mine, 30, create=True)
    assert await other.leases.is_leased(lock)
    await backend.leases.acquire(lock, mine, 30, create=True)
    with pytest.raises(LeaseConflict):
        await other.leases.acquire(lock, theirs, 30, create=True)
    await backend.locks.write_note(lock, mine, {"job": "j"})
    await backend.leases.release(lock, mine)
    await other.leases.acquire(lock, theirs, 30, create=True)
    assert await other.locks.read_note(lock) == {"job": "j"}


async def test_of_many_that_create_a_lock_at_once_one_leases_it(
    backend: Backend, other: Backend
) -> None:
    lock = f"job/00/{uuid4()}"
    answers = await asyncio.gather(
        *(
            each.leases.acquire(lock, str(uuid4()), 30, create=True)
            for _ in range(10)
            for each in (backend, other)
        ),
        return_exceptions=True,
    )
    assert answers.count(None) == 1
    assert sum(isinstance(answer, LeaseConflict) for answer in answers) == 19


async def test_one_id_holds_a_lock_and_others_are_refused(
    backend: Backend, other: Backend, lock: str, mine: str, theirs: str
) -> None:
    await backend.leases.acquire(lock, mine, 30)
    assert await other.leases.is_leased(lock)
    with pytest.raises(LeaseConflict):
        await other.leases.acquire(lock, theirs, 30)
    with pytest.raises(LeaseConflict):
        await other.leases.renew(lock, theirs, 30)


async def test_repeating_an_acquire_is_the_same_acquire(
    backend: Backend, lock: str, mine: str
) -> None:
    await backend.leases.acquire(lock, mine, 30)
    await backend.leases.acquire(lock, mine, 30)
    await backend.leases.renew(lock, mine, 30)


async def test_fifty_parallel_acquires_have_one_winner(
    backend: Backend, other: Backend, lock: str
) -> None:
    stores = [backend.leases, other.leases]
    results = await asyncio.gather(
        *(stores[n % 2].acquire(lock, str(uuid4()), 30) for n in range(50)),
        return_exceptions=True,
    )
    assert results.count(None) == 1
    assert sum(isinstance(result, LeaseConflict) for result in results) == 49


async def test_creating_a_lock_again_keeps_lease_and_note(
    backend: Backend, lock: str, mine: str, theirs: str
) -> None:
    await backend.leases.acquire(lock, mine, 30)
    await backend.locks.write_note(lock, mine, {"turn": "4"})
    await backend.leases.create(lock)
    assert await backend.locks.read_note(lock) == {"turn": "4"}
    with pytest.raises(LeaseConflict):
        await backend.leases.acquire(lock, theirs, 30)


async def test_a_released_lock_is_free_and_cannot_be_renewed(
    backend: Backend, lock: str, mine: str, theirs: str
) -> None:
    await backend.leases.acquire(lock, mine, 30)
    await backend.leases.release(lock, mine)
    assert not await backend.leases.is_leased(lock)
    with pytest.raises(LeaseConflict):
        await backend.leases.renew(lock, mine, 30)
    await backend.leases.acquire(lock, theirs, 30)


async def test_release_is_quiet_where_it_is_not_held(
    backend: Backend, lock: str, mine: str, theirs: str
) -> None:
    await backend.leases.release("job/00/none", mine)
    await backend.leases.release(lock, mine)
    await backend.leases.acquire(lock, theirs, 30)
    await backend.leases.release(lock, mine)
    assert await backend.leases.is_leased(lock)


async def test_delete_releases_and_removes_and_is_quiet_again(
    backend: Backend, lock: str, mine: str
) -> None:
    await backend.leases.acquire(lock, mine, 30)
    await backend.leases.delete(lock, mine)
    await backend.leases.delete(lock, mine)
    assert not await backend.leases.is_leased(lock)
    with pytest.raises(LockMissing):
        await backend.leases.acquire(lock, mine, 30)


async def test_delete_leaves_a_lock_alone_that_another_id_holds(
    backend: Backend, lock: str, mine: str, theirs: str
) -> None:
    await backend.leases.acquire(lock, theirs, 30)
    await backend.leases.delete(lock, mine)
    await backend.leases.renew(lock, theirs, 30)


async def test_an_expired_lease_may_be_renewed_while_nobody_leased_since(
    backend: Backend, lock: str, mine: str, theirs: str, short_lease: float
) -> None:
    await backend.leases.acquire(lock, mine, short_lease)
    await _expired(backend, lock, short_lease)
    await backend.leases.renew(lock, mine, 30)
    with pytest.raises(LeaseConflict):
        await backend.leases.acquire(lock, theirs, 30)


async def test_an_expired_lease_is_lost_once_another_id_leased(
    backend: Backend, lock: str, mine: str, theirs: str, short_lease: float
) -> None:
    await backend.leases.acquire(lock, mine, short_lease)
    await _expired(backend, lock, short_lease)
    await backend.leases.acquire(lock, theirs, 30)
    with pytest.raises(LeaseConflict):
        await backend.leases.renew(lock, mine, 30)
    with pytest.raises(LeaseConflict):
        await backend.leases.acquire(lock, mine, 30)


async def test_renewing_keeps_a_lease_alive(
    backend: Backend, lock: str, mine: str, short_lease: float
) -> None:
    loop = asyncio.get_running_loop()
    await backend.leases.acquire(lock, mine, short_lease)
    renewed = loop.time()
    end = renewed + short_lease * 1.5

    async def renewed_past_the_first_end() -> bool:
        nonlocal end, renewed
        try:
            await backend.leases.renew(lock, mine, short_lease)
            assert await backend.leases.is_leased(lock)
        except (AssertionError, LeaseConflict):
            if loop.time() - renewed < short_lease:
                raise
            await backend.leases.acquire(lock, mine, short_lease)  # the machine stood still
            end = loop.time() + short_lease * 1.5
        renewed = loop.time()
        return renewed > end

    await eventually("time passes", renewed_past_the_first_end, seconds=short_lease * 10 + 5)


async def test_the_renewal_threads_store_sees_the_same_leases(
    backend: Backend, lock: str, mine: str, theirs: str
) -> None:
    await backend.leases.acquire(lock, mine, 30)

    def in_a_thread() -> None:
        async def renew() -> None:
            leases, close = backend.renewal_leases()
            try:
                await leases.renew(lock, mine, 30)
                await leases.write_note(lock, mine, {"by": "the thread"})
                with pytest.raises(LeaseConflict):
                    await leases.renew(lock, theirs, 30)
            finally:
                await close()

        asyncio.run(renew())

    await asyncio.to_thread(in_a_thread)
    assert await backend.locks.read_note(lock) == {"by": "the thread"}
