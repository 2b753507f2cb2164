"""Commands on RabbitMQ and Azure Storage wait through a storage that stands still."""

from __future__ import annotations

import asyncio
import sys

import orjson
import pytest

from devtools.servers import RabbitMQServer, StorageServer
from tests.chaos.proxied_servers import ProxiedServers
from tests.cli.conftest import Cli


@pytest.mark.servers
async def test_each_of_many_jobs_is_accepted_once_though_storage_stands_still_for_nine_seconds(
    cli: Cli, rabbitmq: RabbitMQServer, azurite: StorageServer, namespace: str, table_prefix: str
) -> None:
    servers = ProxiedServers(rabbitmq=rabbitmq, azurite=azurite)
    await servers.start()
    names = {
        "JOBFLEET_NAMESPACE": namespace,
        "JOBFLEET_AUDIT_TABLE": table_prefix,
        "JOBFLEET_LOCK_CONTAINER": table_prefix.lower(),
    }
    process = await asyncio.create_subprocess_exec(
        *(
            sys.executable,
            "-m",
            "jobfleet_cli",
            "publish",
            "--type",
            "a",
            "--count",
            "400",
            "--json",
        ),
        cwd=cli.folder,
        env=cli.environment | servers.proxied() | names,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    first = await process.stdout.readline()
    for proxy in servers.storage.values():
        proxy.stall()
    await asyncio.sleep(9)  # the length of the outage
    for proxy in servers.storage.values():
        proxy.resume()
    out, err = await asyncio.wait_for(process.communicate(), 90)
    await servers.stop()
    assert process.returncode == 0, err.decode()
    ids = {orjson.loads(line)["jobId"] for line in [first, *out.splitlines()]}
    assert len(ids) == 400
