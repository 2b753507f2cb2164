"""The server is killed right after a take, which did not wait for the disk."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from pydantic import SecretStr

from devtools.servers.postgres_cluster import PostgresCluster
from jobfleet_backends.open_backend import open_backend
from jobfleet_backends.postgres import job_consumer
from jobfleet_backends.settings import Settings
from jobfleet_backends.system_clock import SystemClock
from jobfleet_contracts.backend import Backend
from tests.conformance.deliveries import consuming, received
from tests.worker.workshop import Workshop

pytestmark = pytest.mark.servers


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[PostgresCluster]:
    cluster = PostgresCluster(folder=tmp_path / "postgres")
    cluster.start()
    yield cluster
    cluster.kill()


@pytest.fixture
async def backend(cluster: PostgresCluster) -> AsyncIterator[Backend]:
    backend = await open_backend(
        Settings(_env_file=None, backend="postgres", postgres_url=SecretStr(cluster.url))
    )
    yield backend
    await backend.close()


def _ask(cluster: PostgresCluster, statement: str) -> list[Any]:
    with psycopg.connect(cluster.url, autocommit=True) as session:
        cursor = session.execute(statement.encode())
        return [] if cursor.description is None else cursor.fetchall()


async def test_the_message_comes_back_and_its_job_runs_once(
    cluster: PostgresCluster, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_consumer, "HOLD_RENEW_SECONDS", 3600)
    workshop = Workshop(backend, SystemClock())
    try:
        jobs = [await workshop.submit("demo.steps", {"steps": 1}) for _ in range(3)]
        async with consuming(backend) as lost, consuming(backend) as heir:
            await received(lost, len(jobs))
            cluster.kill()
            cluster.start()
            # The server forgot the take, or it did not. Then its time passes.
            [(taken,)] = _ask(cluster, "SELECT sum(unanswered)::int FROM jobfleet.messages")
            _ask(cluster, "UPDATE jobfleet.messages SET visible_at = clock_timestamp()")
            back = await received(heir, len(jobs))
            assert len(back) == len(jobs), "nothing acknowledged them"
            assert sum(delivery.lost_workers for delivery in back) == taken
            for delivery in back:
                await delivery.requeue()
        workshop.start_worker()
        for job in jobs:
            await workshop.until_ended(job)
            statuses = await workshop.statuses(job)
            assert statuses.count("Started") == statuses.count("Completed") == 1, statuses
        await workshop.verified()
        async with consuming(backend) as consumer:
            assert list(await consumer.receive(1, timedelta(seconds=0.3))) == []
    finally:
        await workshop.close()
