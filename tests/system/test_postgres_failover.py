"""A server dies and its standby takes its place: nothing accepted is lost, and jobs go on."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from devtools.servers.polling import wait_until
from devtools.servers.postgres_cluster import PostgresCluster
from jobfleet_contracts.errors import BackendUnavailable
from jobfleet_contracts.state import State
from jobfleet_publisher import Publisher, SubmittedJob
from tests.system.fleet import WorkerProcess
from tests.system.verified import assert_verified

pytestmark = [pytest.mark.servers, pytest.mark.system]

_JOBS, _BEFORE = 30, 12
_LONG = {"steps": 6, "stepSeconds": 1}
_SHORT = {"steps": 1, "stepSeconds": 0.1}


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[PostgresCluster, PostgresCluster]]:
    """A server and its synchronous standby."""
    if not PostgresCluster.is_installed():
        pytest.skip("PostgreSQL is not installed")
    primary = PostgresCluster(folder=tmp_path / "primary", durable=False, with_standby=True)
    standby = PostgresCluster(folder=tmp_path / "standby", durable=False, follows=primary)
    try:
        primary.start()
        standby.start()
        with psycopg.connect(primary.address, autocommit=True) as session:
            session.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
            session.execute("SELECT pg_reload_conf()")
            waits = "SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync'"
            wait_until(
                "the standby is synchronous",
                lambda: session.execute(waits).fetchone() is not None,
                timeout_seconds=60,
            )
        yield primary, standby
    finally:
        for server in (standby, primary):
            server.kill()


async def _accepted(publisher: Publisher, number: int) -> SubmittedJob:
    payload = _LONG if number in {0, 1, _BEFORE - 1} else _SHORT
    async with asyncio.timeout(120):
        while True:
            try:
                return await publisher.submit("demo.steps", payload, idempotency_key=f"k{number}")
            except BackendUnavailable:
                await asyncio.sleep(0.2)


async def test_what_was_accepted_ends_after_a_failover_and_running_jobs_go_on(
    pair: tuple[PostgresCluster, PostgresCluster], tmp_path: Path
) -> None:
    primary, standby = pair
    hosts = ",".join(each.address.split("@")[1].split("/")[0] for each in pair)
    flags: dict[str, Any] = {
        "backend": "postgres",
        "postgres_url": f"postgresql://jobfleet@{hosts}/postgres",
    }
    ours = {name: value for name, value in os.environ.items() if not name.startswith("JOBFLEET_")}
    environment = ours | {
        "JOBFLEET_BACKEND": flags["backend"],
        "JOBFLEET_POSTGRES_URL": flags["postgres_url"],
    }
    async with Publisher.from_env(**flags) as publisher:
        worker = WorkerProcess(environment, tmp_path / "worker.log")
        try:
            jobs = [await _accepted(publisher, number) for number in range(_BEFORE)]
            async with asyncio.timeout(120):
                while await jobs[0].state() is not State.RUNNING:  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
            primary.kill()
            with psycopg.connect(standby.address, autocommit=True) as session:
                session.execute("SELECT pg_promote()")
            jobs += [await _accepted(publisher, number) for number in range(_BEFORE, _JOBS)]
            results = [await job.wait(timeout=240) for job in jobs]
            assert {result.state for result in results} == {State.COMPLETED}
            backend = (await publisher._use()).backend
            assert [event.status for event in await backend.trail.history(jobs[0].job_id)].count(
                "Started"
            ) == 1
            await assert_verified(backend)
        finally:
            worker.end()
