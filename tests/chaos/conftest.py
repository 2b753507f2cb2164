"""A fleet on servers of its own, with proxies between."""

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast, get_args

import pytest

from devtools.servers import PostgresServer, RabbitMQServer, StorageServer
from devtools.servers.ports import reserved_ports
from tests.chaos.chaos_run import ChaosRun, Scope
from tests.chaos.dashboard import Dashboard
from tests.chaos.proxied_servers import ProxiedPostgres, ProxiedServers
from tests.system.fleet import LEASE_SECONDS, Fleet

SETTINGS = {
    "JOBFLEET_LEASE_SECONDS": str(LEASE_SECONDS),
    "JOBFLEET_LEASE_RENEW_SECONDS": "5",
    "JOBFLEET_RESCUE_SECONDS": "1",
    "JOBFLEET_DEFER_SECONDS": "1",
    "JOBFLEET_RETRY_BASE_SECONDS": "0.5",
    "JOBFLEET_RETRY_MAX_SECONDS": "5",
    "JOBFLEET_DRAIN_SECONDS": "2",
    "JOBFLEET_CONCURRENCY": "5",
    "JOBFLEET_ALLOW_PRIVATE_TARGETS": "true",
    "JOBFLEET_LOG_FORMAT": "json",
    "PYTHONFAULTHANDLER": "1",
}
NAMES = {
    "JOBFLEET_NAMESPACE": "chaos",
    "JOBFLEET_AUDIT_TABLE": "Chaos",
    "JOBFLEET_LOCK_CONTAINER": "chaos",
}


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """What decides over faults and jobs; CHAOS_SEED repeats them, but not their timing."""
    return int(os.environ.get("CHAOS_SEED", "1"))


@pytest.fixture
def scope() -> Scope:
    """The scope of all workers, CHAOS_SCOPE; by default two side by side."""
    named = os.environ.get("CHAOS_SCOPE", "mixed")
    assert named in get_args(Scope), f"CHAOS_SCOPE: one of {get_args(Scope)}"
    return cast("Scope", named)


@pytest.fixture
async def azure_run(
    own_rabbitmq: RabbitMQServer,
    own_azurite: StorageServer,
    tmp_path: Path,
    seed: int,
    scope: Scope,
) -> AsyncIterator[ChaosRun]:
    servers = ProxiedServers(rabbitmq=own_rabbitmq, azurite=own_azurite)
    await servers.start()
    fleet = Fleet(servers.proxied() | NAMES | SETTINGS, tmp_path)
    observer = Fleet(servers.direct() | NAMES | SETTINGS, tmp_path)
    await fleet.open()
    await observer.open()
    port = reserved_ports(tmp_path / "dashboard.json", ("http",))["http"]
    dashboard = Dashboard(fleet=fleet, port=port)
    yield ChaosRun(
        fleet=fleet, observer=observer, servers=servers, dashboard=dashboard, seed=seed, scope=scope
    )
    await dashboard.close()
    await fleet.close()
    await observer.close()
    await servers.stop()


@pytest.fixture
async def postgres_run(
    own_postgres: PostgresServer, tmp_path: Path, seed: int, scope: Scope
) -> AsyncIterator[ChaosRun]:
    server = ProxiedPostgres(postgres=own_postgres)
    await server.broker.start()
    fleet = Fleet(server.proxied() | SETTINGS, tmp_path)
    observer = Fleet(server.direct() | SETTINGS, tmp_path)
    await fleet.open()
    await observer.open()
    port = reserved_ports(tmp_path / "dashboard.json", ("http",))["http"]
    dashboard = Dashboard(fleet=fleet, port=port)
    yield ChaosRun(
        fleet=fleet, observer=observer, servers=server, dashboard=dashboard, seed=seed, scope=scope
    )
    await dashboard.close()
    await fleet.close()
    await observer.close()
    await server.broker.stop()


@pytest.fixture
async def named_run(
    rabbitmq: RabbitMQServer,
    azurite: StorageServer,
    namespace: str,
    table_prefix: str,
    tmp_path: Path,
    seed: int,
    scope: Scope,
) -> AsyncIterator[ChaosRun]:
    """A fleet on servers that are not ours to harm; its processes are."""
    names = {
        "JOBFLEET_BACKEND": "azure",
        "JOBFLEET_RABBITMQ_URL": rabbitmq.url,
        "JOBFLEET_STORAGE_CONNECTION_STRING": azurite.connection_string,
        "JOBFLEET_NAMESPACE": namespace,
        "JOBFLEET_AUDIT_TABLE": table_prefix,
        "JOBFLEET_LOCK_CONTAINER": table_prefix.lower(),
    }
    fleet = Fleet(names | SETTINGS, tmp_path)
    await fleet.open()
    yield ChaosRun(
        fleet=fleet, observer=fleet, servers=None, dashboard=None, seed=seed, scope=scope
    )
    await fleet.close()


@pytest.fixture
async def embedded_run(tmp_path: Path, seed: int, scope: Scope) -> AsyncIterator[ChaosRun]:
    names = {"JOBFLEET_BACKEND": "embedded", "JOBFLEET_DATA_DIR": str(tmp_path / "data")}
    fleet = Fleet(names | SETTINGS, tmp_path)
    await fleet.open()
    yield ChaosRun(
        fleet=fleet, observer=fleet, servers=None, dashboard=None, seed=seed, scope=scope
    )
    await fleet.close()
