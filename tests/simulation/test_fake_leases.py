"""The fake leases keep Azure's documented state table, row by row."""

from __future__ import annotations

import pytest

from jobfleet_contracts.errors import LeaseConflict, LockMissing
from tests.simulation.fake_leases import LockContainer
from tests.simulation.virtual_time import VirtualTime

LOCK, A, B = "key/x", "a", "b"


@pytest.fixture
def time() -> VirtualTime:
    return VirtualTime()


@pytest.fixture
def container(time: VirtualTime) -> LockContainer:
    container = LockContainer(time=time)
    container.create(LOCK)
    container.acquire(LOCK, A, 15)
    return container


def test_a_missing_blob_cannot_be_leased(time: VirtualTime) -> None:
    with pytest.raises(LockMissing):
        LockContainer(time=time).acquire(LOCK, A, 15)


def test_a_leased_blob_is_leased_again_under_its_id_only(container: LockContainer) -> None:
    container.acquire(LOCK, A, 15)
    with pytest.raises(LeaseConflict):
        container.acquire(LOCK, B, 15)


def test_an_expired_lease_is_renewed_if_nobody_leased_since(
    container: LockContainer, time: VirtualTime
) -> None:
    time.now = 100
    assert not container.is_leased(LOCK)
    container.renew(LOCK, A)
    assert container.is_leased(LOCK)


def test_an_expired_lease_that_somebody_else_took_is_not_renewed(
    container: LockContainer, time: VirtualTime
) -> None:
    time.now = 100
    container.acquire(LOCK, B, 15)
    time.now = 200
    with pytest.raises(LeaseConflict):
        container.renew(LOCK, A)


def test_proved_on_the_emulator_only_no_other_id_renews_an_expired_lease(
    container: LockContainer, time: VirtualTime
) -> None:
    time.now = 100
    with pytest.raises(LeaseConflict):
        container.renew(LOCK, B)


def test_a_released_lease_is_not_renewed(container: LockContainer) -> None:
    container.release(LOCK, A)
    with pytest.raises(LeaseConflict):
        container.renew(LOCK, A)


def test_a_note_needs_the_live_lease(container: LockContainer, time: VirtualTime) -> None:
    with pytest.raises(LeaseConflict):
        container.write_note(LOCK, B, {"turn": "1"}, None)
    container.write_note(LOCK, A, {"turn": "1"}, None)
    time.now = 100
    with pytest.raises(LeaseConflict):
        container.write_note(LOCK, A, {"turn": "2"}, None)
    assert container.read_note(LOCK) == {"turn": "1"}


def test_a_note_is_refused_where_another_stands(container: LockContainer) -> None:
    container.write_note(LOCK, A, {"turn": "1"}, {})
    with pytest.raises(LeaseConflict):
        container.write_note(LOCK, A, {"turn": "2"}, {})


def test_a_blob_is_deleted_under_its_live_lease_only(
    container: LockContainer, time: VirtualTime
) -> None:
    container.delete(LOCK, B)
    time.now = 100
    container.delete(LOCK, A)
    assert container.read_note(LOCK) == {}
    container.acquire(LOCK, A, 15)
    container.delete(LOCK, A)
    with pytest.raises(LockMissing):
        container.read_note(LOCK)


def test_creating_a_blob_again_leaves_it_as_it_is(container: LockContainer) -> None:
    container.write_note(LOCK, A, {"turn": "1"}, None)
    container.create(LOCK)
    assert container.read_note(LOCK) == {"turn": "1"}
    assert container.is_leased(LOCK)
