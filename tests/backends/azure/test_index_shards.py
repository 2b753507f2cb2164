"""The number of the index's shards: agreed in storage, and no matter to what is read."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from devtools.servers import StorageServer
from jobfleet_backends.azure.http.connection_string import StorageAddress
from jobfleet_backends.azure_backend import open_azure
from jobfleet_backends.settings import Settings
from jobfleet_contracts.errors import BackendForbidden, SettingsError
from jobfleet_contracts.event import Event
from jobfleet_contracts.index import EventQuery, JobQuery
from tests.backends.azure.conftest import Fleet, opened_fleet
from tests.conformance.jobs import a_life, after, open_row, queued, started

pytestmark = pytest.mark.servers
MANY = 16
LIMIT = 100


def _histories() -> list[list[Event]]:
    """Forty short jobs, and one whose steps fill more than a page of one shard."""
    long = [started(queued())]
    for number in range(1, 2 * LIMIT):
        long.append(after(long[-1], f"Step {number}", worker_id="w1"))
    return [*(a_life(at=number / 10) for number in range(40)), long]


async def test_lists_are_the_same_with_16_shards_and_read_little_more_than_they_show(
    address: StorageAddress, table_prefix: str
) -> None:
    histories = _histories()
    pages: dict[int, tuple[list[str], list[tuple[str, int]]]] = {}
    for shards in (1, MANY):
        async with opened_fleet(address, f"{table_prefix}S{shards}", shards=shards) as fleet:
            for history in histories:
                fleet.index.record(history)
            await fleet.index.flush()
            events = await fleet.reader.events(EventQuery(limit=LIMIT))
            requests, rows = fleet.counter.total(), fleet.counter.rows()
            following = await fleet.reader.events(EventQuery(limit=LIMIT, cursor=events.next))
            # One more for each shard that has more than its share, as that of the long job.
            assert fleet.counter.total() - requests <= shards + 4
            assert fleet.counter.rows() - rows <= 2.5 * LIMIT + 8 * shards
            jobs = await fleet.reader.jobs(JobQuery(limit=LIMIT))
            pages[shards] = (
                [event.event_id for event in (*events.items, *following.items)],
                [(row.facts.job_id, row.sequence) for row in jobs.items],
            )
    assert pages[1] == pages[MANY]
    everything = sorted(
        (event for history in histories for event in history),
        key=lambda event: event.occurred_at,
        reverse=True,
    )
    assert pages[MANY][0][: 2 * LIMIT - 2] == [e.event_id for e in everything[: 2 * LIMIT - 2]]


async def test_a_process_with_another_number_of_shards_does_not_start(
    azurite: StorageServer, table_prefix: str
) -> None:
    def settings(shards: int) -> Settings:
        return Settings(
            _env_file=None,
            backend="azure",
            audit_table=table_prefix,
            index_shards=shards,
            storage_connection_string=SecretStr(azurite.connection_string),
        )

    for _ in range(2):
        backend = await open_azure(settings(MANY))
        await backend.close()
    with pytest.raises(SettingsError, match=r"JOBFLEET_INDEX_SHARDS is 4, .* has 16: set it to 16"):
        await open_azure(settings(4))


async def test_where_the_storage_was_away_at_the_start_nothing_is_written_with_another_number(
    address: StorageAddress, fleet: Fleet
) -> None:
    first = queued()
    await fleet.index.open(open_row(first))
    async with opened_fleet(address, fleet.prefix, shards=MANY) as other:
        with pytest.raises(BackendForbidden, match="JOBFLEET_INDEX_SHARDS is 16"):
            await other.index.open(open_row(queued()))
        with pytest.raises(BackendForbidden, match="JOBFLEET_INDEX_SHARDS is 16"):
            await other.reader.open_rows()
