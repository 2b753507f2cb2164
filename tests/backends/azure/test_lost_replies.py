"""A request that was applied and whose reply is lost or spoilt on the way."""

from __future__ import annotations

import pytest

from jobfleet_backends.azure.http.connection_string import StorageAddress
from jobfleet_contracts.errors import BackendUnavailable, SequenceTaken
from jobfleet_contracts.job_id import new_id
from tests.backends.azure.conftest import Fleet
from tests.backends.azure.fault_proxy import Fault, FaultProxy
from tests.conformance.jobs import a_life, all_open_rows, an_id, open_row, queued, started

pytestmark = pytest.mark.servers
SPOILT = pytest.mark.parametrize("fault", [Fault.DROP_REPLY, Fault.BUSY_REPLY])


@SPOILT
async def test_an_insert_whose_reply_is_lost_is_unclear_and_stands_in_the_trail(
    faulty: Fleet, table_proxy: FaultProxy, fault: Fault
) -> None:
    event = queued()
    table_proxy.once(fault, "POST")
    with pytest.raises(BackendUnavailable):
        await faulty.trail.insert([event])
    assert await faulty.trail.read(event.job_id, 1) == event
    with pytest.raises(SequenceTaken):
        await faulty.trail.insert([event])


@SPOILT
async def test_a_transaction_whose_reply_is_lost_is_sent_but_once(
    faulty: Fleet, table_proxy: FaultProxy, fault: Fault
) -> None:
    life = a_life()
    table_proxy.once(fault, "POST")
    with pytest.raises(BackendUnavailable):
        await faulty.trail.insert(life)
    assert [seen.method for seen in table_proxy.exchanges].count("POST") == 1
    assert await faulty.trail.history(life[0].job_id) == life


async def test_an_error_names_the_address_and_no_secret(
    faulty: Fleet, table_proxy: FaultProxy, address: StorageAddress
) -> None:
    table_proxy.once(Fault.DROP_REPLY, "POST")
    with pytest.raises(BackendUnavailable) as raised:
        await faulty.trail.insert([queued()])
    assert table_proxy.endpoint in str(raised.value)
    assert "trail.insert" in str(raised.value)
    assert str(address.key) not in repr(raised.value.__cause__)


@SPOILT
async def test_a_read_is_asked_again_after_a_lost_reply(
    faulty: Fleet, table_proxy: FaultProxy, fault: Fault
) -> None:
    event = queued()
    await faulty.trail.insert([event])
    table_proxy.once(fault, "GET")
    assert await faulty.trail.newest(event.job_id) == event


@SPOILT
async def test_the_index_writes_again_until_it_is_stored(
    faulty: Fleet, table_proxy: FaultProxy, fault: Fault
) -> None:
    first = queued()
    await faulty.index.open(open_row(first))
    table_proxy.once(fault, "POST")
    faulty.index.record([first, started(first)])
    await faulty.index.flush()
    table_proxy.once(fault, "POST")
    faulty.index.record([a_life()[0]])
    await faulty.index.close(first.job_id, 1)
    assert await all_open_rows(faulty) == []  # type: ignore[arg-type]


@SPOILT
async def test_a_lease_is_acquired_again_under_its_own_id(
    faulty: Fleet, blob_proxy: FaultProxy, fault: Fault
) -> None:
    lock, lease_id = f"job/aa/{an_id()}", new_id()
    await faulty.leases.create(lock)
    blob_proxy.once(fault, "PUT")
    try:
        await faulty.leases.acquire(lock, lease_id, 60)
    except BackendUnavailable:
        await faulty.leases.acquire(lock, lease_id, 60)
    assert await faulty.leases.is_leased(lock)


@SPOILT
async def test_a_delete_whose_reply_is_lost_counts_as_done_the_second_time(
    faulty: Fleet, blob_proxy: FaultProxy, fault: Fault
) -> None:
    lock, lease_id = f"job/aa/{an_id()}", new_id()
    await faulty.leases.create(lock)
    await faulty.leases.acquire(lock, lease_id, 60)
    blob_proxy.once(fault, "DELETE")
    try:
        await faulty.leases.delete(lock, lease_id)
    except BackendUnavailable:
        await faulty.leases.delete(lock, lease_id)
    assert not await faulty.leases.is_leased(lock)
