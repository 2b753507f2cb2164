"""Storage that is away, or does not let us in."""

from __future__ import annotations

import base64
from dataclasses import replace

import pytest

from jobfleet_backends.azure.http.connection_string import StorageAddress
from jobfleet_contracts.errors import BackendForbidden, BackendUnavailable
from tests.backends.azure.conftest import Fleet, opened_fleet
from tests.backends.azure.fault_proxy import Fault, FaultProxy
from tests.conformance.jobs import an_id, queued

UNREACHABLE = StorageAddress(
    "http://127.0.0.1:9/account", "http://127.0.0.1:9/account", "account", key="c2VjcmV0"
)


async def test_storage_that_is_away_is_named_by_its_address() -> None:
    async with opened_fleet(UNREACHABLE, "Nowhere") as fleet:
        for work in (
            fleet.trail.insert([queued()]),
            fleet.trail.newest(an_id()),
            fleet.leases.create("job/aa/x"),
        ):
            with pytest.raises(BackendUnavailable, match=r"127\.0\.0\.1:9/account"):
                await work


@pytest.mark.servers
async def test_a_wrong_key_is_said_as_such_and_not_tried_again(address: StorageAddress) -> None:
    wrong = replace(address, key=base64.b64encode(b"wrong" * 8).decode())
    async with opened_fleet(wrong, "Never") as fleet:
        for work in (
            fleet.trail.insert([queued()]),
            fleet.trail.newest(an_id()),
            fleet.leases.create("job/aa/x"),
            fleet.leases.is_leased("job/aa/x"),
        ):
            with pytest.raises(BackendForbidden, match="refuses the credentials") as raised:
                await work
            assert str(wrong.key) not in str(raised.value)
        assert fleet.counter.total() == 4


@pytest.mark.servers
async def test_a_missing_permission_names_operation_and_role(
    faulty: Fleet, table_proxy: FaultProxy, blob_proxy: FaultProxy
) -> None:
    table_proxy.choose = blob_proxy.choose = lambda _: Fault.REFUSE
    with pytest.raises(BackendForbidden, match=r"trail\.insert.*Storage Table Data Contributor"):
        await faulty.trail.insert([queued()])
    with pytest.raises(BackendForbidden, match=r"trail\.newest.*Storage Table Data Contributor"):
        await faulty.trail.newest(an_id())
    with pytest.raises(BackendForbidden, match=r"lease\.create.*Storage Blob Data Contributor"):
        await faulty.leases.create("job/aa/x")
    table_proxy.choose = lambda _: Fault.NONE


@pytest.mark.servers
async def test_tables_and_containers_are_made_at_their_first_use(fleet: Fleet) -> None:
    event = queued()
    await fleet.trail.insert([event])
    await fleet.leases.create("job/aa/x")
    counts = fleet.counter.counts()
    assert counts["table.create", "ok"] == counts["container.create", "ok"] == 1
    assert await fleet.trail.newest(event.job_id) == event
