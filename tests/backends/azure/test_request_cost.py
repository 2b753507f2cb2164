"""What a job costs in requests, counted on the wire."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from jobfleet_backends.azure.http.connection_string import StorageAddress
from jobfleet_backends.azure.http.storage_account import Patience
from jobfleet_backends.azure.index.index_shard import Pace
from jobfleet_contracts.event import Event
from jobfleet_contracts.index import EventQuery
from jobfleet_contracts.job_id import new_id
from jobfleet_contracts.lease import job_lock
from jobfleet_protocol.reading.event_search import find_events
from jobfleet_protocol.reading.search import narrow_events
from jobfleet_protocol.retry import retry_forever
from tests.backends.azure.conftest import Fleet, opened_fleet
from tests.backends.azure.fault_proxy import FaultProxy
from tests.conformance.jobs import a_life, completed, open_row, queued, started

pytestmark = pytest.mark.servers
LOAD = 192
"""Jobs in flight at once."""

ROWS = 9
"""Open row, its confirmation, its removal; three events, each in the trail and in the timeline.
The hint of ``Started`` and the removal of the open row meet in one batch, as one row."""

UNHURRIED = Pace(awaited=10, lonely=10)
"""As on a machine so fast that rows never wait for their time but only for company."""

UNHURRIED_REQUESTS = Patience(connect=60, read=60)
"""So many at once exceed the time-outs of an emulator on a crowded machine."""


async def _submit(fleet: Fleet, event: Event) -> None:
    await fleet.index.open(open_row(event))
    await fleet.trail.insert([event])
    fleet.index.record([event])
    fleet.index.published(event.job_id, 1, 1)


async def _work(fleet: Fleet, opening: Event) -> None:
    lock, lease_id = job_lock(opening.job_id), new_id()
    # So many at once exceed the connect time-out of an emulator on a crowded machine.
    await retry_forever(lambda: fleet.leases.create(lock))
    await retry_forever(lambda: fleet.leases.acquire(lock, lease_id, 60))
    claim = started(opening)
    await fleet.trail.insert([claim])
    copied = fleet.index.record([claim])
    await fleet.trail.insert([completed(claim)])
    fleet.index.record([completed(claim)])
    fleet.index.close(opening.job_id, 1)
    await copied  # as the worker does before it acknowledges
    await fleet.leases.delete(lock, lease_id)


async def test_a_job_costs_two_requests_to_submit_and_five_to_run(
    faulty: Fleet, table_proxy: FaultProxy, blob_proxy: FaultProxy
) -> None:
    await faulty.reader.lock_slots("nobody")  # compares the number of shards
    before = faulty.counter.total()
    table_proxy.exchanges.clear()
    job = queued()
    await _submit(faulty, job)
    await faulty.index.flush()
    await _work(faulty, job)
    await faulty.index.flush()
    on_the_wire = len(table_proxy.exchanges) + len(blob_proxy.exchanges)
    assert faulty.counter.total() - before == on_the_wire
    assert on_the_wire - faulty.counter.total("index.write") == 2 + 5


@pytest.mark.parametrize(
    ("shards", "most_requests"), [(4, 0.25), pytest.param(16, 0.5, marks=pytest.mark.full)]
)
async def test_under_load_a_short_job_writes_nine_rows_and_the_index_takes_few_requests(
    faulty: Fleet,
    table_proxy: FaultProxy,
    address: StorageAddress,
    shards: int,
    most_requests: float,
) -> None:
    own = f"{faulty.prefix}S{shards}"
    through = replace(address, tables=table_proxy.endpoint)
    jobs = [queued() for _ in range(LOAD)]
    async with (
        opened_fleet(
            through, own, pace=UNHURRIED, shards=shards, patience=UNHURRIED_REQUESTS
        ) as publisher,
        opened_fleet(
            through, own, pace=UNHURRIED, shards=shards, patience=UNHURRIED_REQUESTS
        ) as worker,
    ):
        for process in (publisher, worker):
            await process.trail.newest("nobody")
            await process.reader.counts()
        await worker.leases.leased()
        table_proxy.exchanges.clear()
        await asyncio.gather(*(_submit(publisher, job) for job in jobs))
        await publisher.index.flush()
        await asyncio.gather(*(_work(worker, job) for job in jobs))
        await worker.index.flush()
        assert (await worker.reader.open_rows()).items == []
    written = publisher.counter.total("index.write") + worker.counter.total("index.write")
    assert written / LOAD <= most_requests
    rows = sum(exchange.rows for exchange in table_proxy.exchanges)
    # A batch that is full before its jobs end holds their hints too, and each holds its counts.
    assert ROWS <= rows / LOAD <= ROWS + 1


async def test_a_page_costs_the_same_however_much_is_stored(fleet: Fleet) -> None:
    costs = []
    for jobs in (10, 400):
        for _ in range(jobs):
            fleet.index.record(a_life())
        await fleet.index.flush()
        before = fleet.counter.total()
        page = await fleet.reader.events(EventQuery(limit=20))
        assert len(page.items) == 20
        costs.append(fleet.counter.total() - before)
    assert costs == [4, 4]


async def test_a_search_of_events_costs_no_more_however_much_is_stored(fleet: Fleet) -> None:
    costs = []
    for jobs in (700, 700):
        for _ in range(jobs):
            fleet.index.record(a_life())
        await fleet.index.flush()
        before = fleet.counter.total(), fleet.counter.rows()
        query = narrow_events(EventQuery(limit=20), "text nowhere")
        page = await find_events(fleet.reader, query)
        assert (list(page.items), page.searched_back_to is None) == ([], False)
        costs.append(fleet.counter.total() - before[0])
        assert fleet.counter.rows() - before[1] <= 5 * 4 * 401  # of each round and shard
    assert costs == [5 * 4, 5 * 4]


async def test_an_address_with_credentials_is_never_shown(address: StorageAddress) -> None:
    assert str(address.key) not in repr(replace(address, sas="sig=1"))
