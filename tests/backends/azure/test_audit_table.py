"""The audit table as other programs read it, with Microsoft's own client."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from azure.data.tables import EdmType, EntityProperty, TableEntity
from azure.data.tables.aio import TableClient

from devtools.servers import StorageServer
from tests.backends.azure.conftest import Fleet
from tests.conformance.jobs import a_life, after, queued, started

pytestmark = pytest.mark.servers

INT32_COLUMNS = ("Sequence", "Attempt", "Epoch")
TEXT_COLUMNS = (
    "EventId", "Status", "Message", "State", "WorkerId", "JobName", "JobType", "Lock", "Data",
)  # fmt: skip


@pytest.fixture
async def plain_client(azurite: StorageServer, fleet: Fleet) -> AsyncIterator[TableClient]:
    async with TableClient.from_connection_string(
        azurite.connection_string, fleet.prefix
    ) as client:
        yield client


async def _rows(client: TableClient, job_id: str) -> list[TableEntity]:
    query = client.query_entities("PartitionKey eq @job", parameters={"job": job_id})
    return [entity async for entity in query]


async def test_rows_come_newest_first_with_keys_of_job_and_inverted_sequence(
    fleet: Fleet, plain_client: TableClient
) -> None:
    life = a_life()
    for event in life:
        await fleet.trail.insert([event])
    rows = await _rows(plain_client, life[0].job_id)
    assert [row["Sequence"] for row in rows] == [4, 3, 2, 1]
    assert [row["RowKey"] for row in rows] == [
        "9999999995", "9999999996", "9999999997", "9999999998",
    ]  # fmt: skip
    assert rows[0]["State"] == "completed"


async def test_columns_have_the_published_types(fleet: Fleet, plain_client: TableClient) -> None:
    life = a_life()
    await fleet.trail.insert(life)
    row = (await _rows(plain_client, life[0].job_id))[0]
    for name in INT32_COLUMNS:
        assert type(row[name]) is int, name
    for name in TEXT_COLUMNS:
        assert type(row[name]) is str, name
    assert row["DurationMs"] == EntityProperty(12, EdmType.INT64)
    assert isinstance(row["OccurredAt"], datetime)


@pytest.mark.parametrize("many", [False, True], ids=["a single insert", "a transaction"])
@pytest.mark.parametrize("microsecond", [0, 1, 100_000, 123_456, 999_999])
async def test_times_keep_six_decimals(fleet: Fleet, microsecond: int, many: bool) -> None:
    moment = datetime(2026, 1, 31, 9, 30, 0, microsecond, tzinfo=UTC)
    first = replace(queued(), occurred_at=moment)
    events = [first, started(first)] if many else [first]
    await fleet.trail.insert(events)
    stored = await fleet.trail.read(first.job_id, 1)
    assert stored == first


async def test_texts_of_every_kind_come_back(fleet: Fleet) -> None:
    first = queued(job_name="Größe 'a' \"b\" \\ / # ? % 💥 --changeset", lock_key="k'; or 1 eq 1")
    second = started(first)
    third = after(second, "Step 1", worker_id="w1", message="💥" * 2000 + "\r\n\t--batch")
    await fleet.trail.insert([first])
    await fleet.trail.insert([second, third])
    assert await fleet.trail.history(first.job_id) == [first, second, third]


async def test_a_refused_transaction_inserts_none_of_its_events(fleet: Fleet) -> None:
    life = a_life()
    await fleet.trail.insert(life[:2])
    with pytest.raises(Exception, match="already"):
        await fleet.trail.insert(life[1:3])
    newest = await fleet.trail.newest(life[0].job_id)
    assert newest == life[1]


async def test_a_long_history_costs_as_few_requests_as_its_page(fleet: Fleet) -> None:
    first = queued()
    events = [first, started(first)]
    while len(events) < 100:
        events.append(after(events[-1], f"Step {len(events)}", worker_id="w1"))
    await fleet.trail.insert(events)
    before = fleet.counter.total()
    assert await fleet.trail.history(first.job_id, after=10, limit=5) == events[10:15]
    assert await fleet.trail.history(first.job_id, before=91, limit=5) == events[85:90]
    assert await fleet.trail.newest(first.job_id) == events[-1]
    assert fleet.counter.total() - before == 3
