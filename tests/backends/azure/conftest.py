"""Azure's adapters over the emulator, with tables that no other test has."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import pytest

from devtools.servers import StorageServer
from jobfleet_backends.azure.audit_trail import AzureAuditTrail
from jobfleet_backends.azure.http.connection_string import StorageAddress
from jobfleet_backends.azure.http.storage_account import (
    PATIENT,
    Access,
    Patience,
    StorageAccount,
)
from jobfleet_backends.azure.index.index_shard import AT_ONCE, Pace
from jobfleet_backends.azure.index.index_table import IndexTable, Shards
from jobfleet_backends.azure.index.job_index import AzureJobIndex
from jobfleet_backends.azure.index.job_index_reader import AzureJobIndexReader
from jobfleet_backends.azure.lease_store import AzureLeaseStore
from jobfleet_backends.system_clock import SystemClock
from jobfleet_contracts.request_counter import RequestCounter
from tests.backends.azure.fault_proxy import FaultProxy

SHARDS = 4
"""Few, as the emulator is slow; how it is with more is tested where it matters."""


@dataclass(frozen=True)
class Fleet:
    """One process's view of a fleet's storage."""

    account: StorageAccount
    counter: RequestCounter
    prefix: str
    trail: AzureAuditTrail
    leases: AzureLeaseStore
    index: AzureJobIndex
    reader: AzureJobIndexReader


@asynccontextmanager
async def opened_fleet(
    address: StorageAddress,
    prefix: str,
    *,
    pace: Pace = AT_ONCE,
    shards: int = SHARDS,
    patience: Patience = PATIENT,
) -> AsyncIterator[Fleet]:
    counter = RequestCounter()
    account = StorageAccount(access=Access(address), counter=counter, patience=patience)
    trail = AzureAuditTrail(table=account.table(prefix))
    parts = account.table_parts(f"{prefix}JobIndex")
    table = IndexTable(shards=Shards(shards), **parts)
    fleet = Fleet(
        account=account,
        counter=counter,
        prefix=prefix,
        trail=trail,
        leases=AzureLeaseStore(container=account.container(f"{prefix.lower()}-locks")),
        index=AzureJobIndex(table=table, pace=pace),
        reader=AzureJobIndexReader(table=table, trail=trail, clock=SystemClock()),
    )
    try:
        yield fleet
    finally:
        await fleet.index.stop()
        await account.close()


@pytest.fixture
def address(azurite: StorageServer) -> StorageAddress:
    return StorageAddress.parse(azurite.connection_string)


@pytest.fixture
async def fleet(address: StorageAddress, table_prefix: str) -> AsyncIterator[Fleet]:
    async with opened_fleet(address, table_prefix) as fleet:
        yield fleet


@pytest.fixture
async def table_proxy(address: StorageAddress) -> AsyncIterator[FaultProxy]:
    async with FaultProxy(endpoint=address.tables) as proxy:
        yield proxy


@pytest.fixture
async def blob_proxy(address: StorageAddress) -> AsyncIterator[FaultProxy]:
    async with FaultProxy(endpoint=address.blobs) as proxy:
        yield proxy


@pytest.fixture
async def faulty(
    address: StorageAddress,
    table_prefix: str,
    table_proxy: FaultProxy,
    blob_proxy: FaultProxy,
    fleet: Fleet,
) -> AsyncIterator[Fleet]:
    """The fleet's storage through the proxies; tables and containers are there already."""
    await fleet.trail.newest("nobody")
    await fleet.reader.counts()
    await fleet.leases.leased()
    through = replace(address, tables=table_proxy.endpoint, blobs=blob_proxy.endpoint)
    async with opened_fleet(through, table_prefix) as faulty:
        yield faulty
