"""A transaction that is open for minutes holds live views back; afterwards they miss nothing."""

from __future__ import annotations

import asyncio
import time

import psycopg
import pytest
from pydantic import SecretStr

from devtools.servers import PostgresServer
from jobfleet_backends.open_backend import open_backend
from jobfleet_backends.settings import Settings
from jobfleet_backends.system_clock import SystemClock
from jobfleet_contracts.index import JobQuery
from jobfleet_dashboard.live.hub import LiveHub
from jobfleet_publisher import Publisher

OPEN_SECONDS = 150


@pytest.mark.chaos
@pytest.mark.servers
async def test_live_views_miss_nothing_after_a_transaction_that_was_open_for_minutes(
    postgres: PostgresServer, postgres_schema: str
) -> None:
    settings = Settings(
        backend="postgres",
        postgres_url=SecretStr(postgres.url),
        postgres_schema=postgres_schema,
    )
    backend = await open_backend(settings)
    live = LiveHub(reader=backend.reader)
    publisher = Publisher(backend=backend, clock=SystemClock(), defaults=settings.job_defaults)
    try:
        await publisher.submit("demo.steps")
        async with (
            live.subscribe() as watching,
            await psycopg.AsyncConnection.connect(postgres.url) as connection,
        ):
            submitted = [await publisher.submit("demo.steps", connection=connection)]
            coming = asyncio.ensure_future(watching.next())
            until = time.monotonic() + OPEN_SECONDS
            while time.monotonic() < until:
                submitted.append(await publisher.submit("demo.steps"))
                await asyncio.sleep(0.5)
            assert not coming.done()
            listed = await backend.reader.jobs(JobQuery(limit=1000))
            assert len(listed.items) == len(submitted)  # all but the one that is not committed
            await connection.commit()
            seen: list[str] = []
            async with asyncio.timeout(60):
                while len(seen) < len(submitted):
                    batch = await coming
                    assert batch is not None
                    seen += [entry.event.job_id for entry in batch]
                    coming = asyncio.ensure_future(watching.next())
            coming.cancel()
            assert seen == [job.job_id for job in submitted]
    finally:
        await live.stop()
        await backend.close()
