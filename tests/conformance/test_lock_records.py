"""LockRecords: notes under a lease, and the list of live leases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from jobfleet_contracts.backend import Backend
from jobfleet_contracts.errors import LeaseConflict, LockMissing
from jobfleet_contracts.lease import key_lock
from tests.conformance.conftest import WITH_FAKES
from tests.polling import eventually

pytestmark = WITH_FAKES

LOCK = key_lock("a key")


async def test_a_note_comes_back_as_it_was_written(backend: Backend, other: Backend) -> None:
    lease_id = str(uuid4())
    await backend.leases.create(LOCK)
    assert await backend.locks.read_note(LOCK) == {}
    await backend.leases.acquire(LOCK, lease_id, 30)
    note = {"turn": "12", "job": "01a2-b", "epoch": "3", "who": "Zoë & co = 1"}
    await backend.locks.write_note(LOCK, lease_id, note)
    assert await other.locks.read_note(LOCK) == note
    await backend.leases.release(LOCK, lease_id)
    assert await other.locks.read_note(LOCK) == note


async def test_a_note_replaces_the_one_before(backend: Backend) -> None:
    lease_id = str(uuid4())
    await backend.leases.create(LOCK)
    await backend.leases.acquire(LOCK, lease_id, 30)
    await backend.locks.write_note(LOCK, lease_id, {"a": "1", "b": "2"})
    await backend.locks.write_note(LOCK, lease_id, {"b": "3"})
    assert await backend.locks.read_note(LOCK) == {"b": "3"}


async def test_a_late_copy_of_a_note_does_not_cover_a_newer_one(backend: Backend) -> None:
    lease_id = str(uuid4())
    await backend.leases.create(LOCK)
    await backend.leases.acquire(LOCK, lease_id, 30)
    first, second = {"turn": "1", "job": "ä"}, {"turn": "2", "job": "b"}
    await backend.locks.write_note(LOCK, lease_id, first, replacing={})
    await backend.leases.acquire(LOCK, lease_id, 30)
    await backend.locks.write_note(LOCK, lease_id, second, replacing=first)
    with pytest.raises(LeaseConflict):
        await backend.locks.write_note(LOCK, lease_id, first, replacing={})
    assert await backend.locks.read_note(LOCK) == second


async def test_a_note_is_refused_without_the_lease(backend: Backend) -> None:
    await backend.leases.create(LOCK)
    with pytest.raises(LeaseConflict):
        await backend.locks.write_note(LOCK, str(uuid4()), {"turn": "1"})
    await backend.leases.acquire(LOCK, str(uuid4()), 30)
    with pytest.raises(LeaseConflict):
        await backend.locks.write_note(LOCK, str(uuid4()), {"turn": "1"})
    assert await backend.locks.read_note(LOCK) == {}


async def test_a_note_is_refused_under_a_lease_that_ran_out(
    backend: Backend, short_lease: float
) -> None:
    lease_id = str(uuid4())
    await backend.leases.create(LOCK)
    await backend.leases.acquire(LOCK, lease_id, short_lease)

    async def is_free() -> bool:
        return not await backend.leases.is_leased(LOCK)

    await eventually("the lease runs out", is_free, seconds=short_lease + 10)
    with pytest.raises(LeaseConflict):
        await backend.locks.write_note(LOCK, lease_id, {"turn": "1"})


async def test_a_missing_lock_has_no_note(backend: Backend) -> None:
    with pytest.raises(LockMissing):
        await backend.locks.read_note("key/none")
    with pytest.raises(LockMissing):
        await backend.locks.write_note("key/none", str(uuid4()), {"turn": "1"})


async def test_the_list_holds_the_locks_that_are_leased_now(
    backend: Backend, other: Backend
) -> None:
    names = [f"job/{n:02}/x{n}" for n in range(6)]
    ids = [str(uuid4()) for _ in names]
    for name, lease_id in zip(names, ids, strict=True):
        await backend.leases.create(name)
        await backend.leases.acquire(name, lease_id, 30)
    await backend.leases.release(names[0], ids[0])
    await backend.leases.delete(names[1], ids[1])
    assert await other.locks.leased() == frozenset(names[2:])
    assert await other.locks.leased("job/03/") == {names[3]}
    assert await other.locks.leased("job/0") == frozenset(names[2:])
    assert await other.locks.leased("key/") == frozenset()


async def test_idle_locks_are_removed_and_leased_ones_stay(
    backend: Backend, other: Backend
) -> None:
    held, idle, elsewhere = "worker/a-1", "worker/b-1", "key/c"
    now = datetime.now(UTC)
    for lock in (held, idle, elsewhere):
        await backend.leases.create(lock)
    lease_id = str(uuid4())
    await backend.leases.acquire(held, lease_id, 30)
    assert await other.locks.remove_idle("worker/", before=now + timedelta(days=1)) == 1
    await backend.leases.renew(held, lease_id, 30)
    assert await backend.locks.read_note(elsewhere) == {}
    with pytest.raises(LockMissing):
        await backend.leases.acquire(idle, str(uuid4()), 30)


async def test_a_lock_whose_lease_has_just_ended_is_not_idle_for_a_day(
    backend: Backend, short_lease: float
) -> None:
    lock = "worker/a-1"
    await backend.leases.create(lock)
    await backend.leases.acquire(lock, str(uuid4()), short_lease)

    async def is_free() -> bool:
        return not await backend.leases.is_leased(lock)

    await eventually("the lease runs out", is_free, seconds=short_lease + 10)
    day_ago = datetime.now(UTC) - timedelta(days=1)
    assert await backend.locks.remove_idle("worker/", before=day_ago) == 0
    assert await backend.locks.read_note(lock) == {}
