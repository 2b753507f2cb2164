"""Behind PgBouncer in transaction mode, whose server sessions keep nothing for their clients."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from devtools.servers import PostgresServer
from devtools.servers.polling import wait_until
from devtools.servers.ports import reserved_ports
from devtools.servers.probes import postgres_answers
from jobfleet_backends.open_backend import open_backend
from jobfleet_backends.settings import Settings
from jobfleet_backends.system_clock import SystemClock
from jobfleet_contracts.errors import SettingsError
from tests.worker.workshop import OPTIONS, Workshop

pytestmark = pytest.mark.servers

CONFIGURATION = """
[databases]
postgres = host=127.0.0.1 port={server} user=jobfleet
lagging = host=127.0.0.1 port={server} user=jobfleet dbname=postgres
    connect_query='SET synchronous_commit = off'
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 2
{user}
"""
"""Debian 12 has version 1.18: it knows nothing of prepared statements."""


@pytest.fixture
def pooled(settings: Settings, postgres: PostgresServer, tmp_path: Path) -> Iterator[Settings]:
    port = reserved_ports(tmp_path / "pooler.json", ("pooler",))["pooler"]
    program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    assert program is not None, "pgbouncer is missing; run python -m devtools.prerequisites"
    (server,) = re.findall(r":(\d+)/", postgres.url)
    user = "user = nobody" if os.geteuid() == 0 else ""
    file = tmp_path / "pgbouncer.ini"
    text = CONFIGURATION.replace("\n    connect_query", " connect_query")
    file.write_text(text.format(server=server, port=port, user=user))
    with (tmp_path / "pgbouncer.log").open("w") as log:
        pooler = subprocess.Popen([program, str(file)], stderr=log)
    url = f"postgresql://jobfleet@127.0.0.1:{port}/postgres"

    try:
        wait_until("the pooler answers", lambda: postgres_answers(url), timeout_seconds=120)
        yield settings.model_copy(update={"postgres_url": SecretStr(url)})
    finally:
        pooler.kill()
        pooler.wait()


async def test_a_fleet_behind_a_pooler_loses_no_statement(pooled: Settings) -> None:
    backend = await open_backend(pooled)
    workshop = Workshop(backend, SystemClock(), OPTIONS)
    workshop.start_worker()
    try:
        jobs = [
            await workshop.submit("demo.steps", {"steps": 2, "stepSeconds": 0}, lock_key=key)
            for key in (None, "k", None, "k") * 3
        ]
        ends = await asyncio.gather(*(workshop.until_ended(job) for job in jobs))
        assert {end.status for end in ends} == {"Completed"}
        assert all(each.ok for each in await backend.probe())
        await workshop.verified()
    finally:
        await workshop.close()
        await backend.close()


async def test_sessions_of_a_pooler_that_do_not_wait_for_the_disk_are_refused(
    pooled: Settings,
) -> None:
    url = pooled.postgres_url.get_secret_value().replace("/postgres", "/lagging")
    with pytest.raises(SettingsError, match=r"synchronous_commit is off.*set it to on"):
        await open_backend(pooled.model_copy(update={"postgres_url": SecretStr(url)}))
