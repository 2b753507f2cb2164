"""Where a server comes from: the environment, else Docker Compose, else a local binary."""

from pathlib import Path

from devtools.servers.azurite_server import AzuriteServer
from devtools.servers.composed_server import (
    ComposedAzurite,
    ComposedPostgres,
    ComposedRabbitMQ,
    compose_command,
)
from devtools.servers.errors import ServerMissingError
from devtools.servers.kinds import (
    DevelopmentServer,
    PostgresServer,
    RabbitMQServer,
    StorageServer,
)
from devtools.servers.named_server import named_postgres, named_rabbitmq, named_storage
from devtools.servers.postgres_cluster import PostgresCluster
from devtools.servers.rabbitmq_node import RabbitMQNode

_NO_RABBITMQ = """\
No RabbitMQ on this machine. Any one of these helps:
  sudo apt-get install rabbitmq-server      (Debian, Ubuntu)
  brew install rabbitmq                     (macOS)
  start Docker
  export JOBFLEET_RABBITMQ_URL=amqp://USER:PASSWORD@HOST:5672/"""
_NO_AZURITE = """\
No Azurite on this machine. Any one of these helps:
  npm ci                                    (in this folder; needs Node.js 20 or later)
  start Docker
  export JOBFLEET_STORAGE_CONNECTION_STRING=..."""

_NO_POSTGRES = """\
No PostgreSQL on this machine. Any one of these helps:
  sudo apt-get install postgresql           (Debian, Ubuntu)
  brew install postgresql                   (macOS)
  start Docker
  export JOBFLEET_POSTGRES_URL=postgresql://USER:PASSWORD@HOST:5432/DATABASE"""


def choose_rabbitmq(folder: Path) -> RabbitMQServer:
    """For use by many at once, in a namespace of one's own."""
    named = named_rabbitmq()
    if named is not None:
        return named
    compose = compose_command()
    if compose is not None:
        return ComposedRabbitMQ(compose=compose)
    return _local_rabbitmq(folder)


def choose_storage(folder: Path) -> StorageServer:
    """For use by many at once, in tables and containers of one's own."""
    named = named_storage()
    if named is not None:
        return named
    compose = compose_command()
    if compose is not None:
        return ComposedAzurite(compose=compose)
    return _local_azurite(folder)


def choose_postgres(folder: Path, *, durable: bool = True) -> PostgresServer:
    """For use by many at once, in a schema of one's own.

    Args:
        durable: a private server without it is faster, and loses data at a power cut.
    """
    named = named_postgres()
    if named is not None:
        return named
    compose = compose_command()
    if compose is not None:
        return ComposedPostgres(compose=compose)
    return _local_postgres(folder, durable=durable)


def choose_own_rabbitmq(folder: Path) -> RabbitMQServer:
    """For faults: ours to kill, whatever the environment names."""
    if not RabbitMQNode.is_installed():
        compose = compose_command()
        if compose is not None:
            return ComposedRabbitMQ(compose=compose)
    return _local_rabbitmq(folder)


def choose_own_storage(folder: Path) -> StorageServer:
    """For faults: ours to kill, whatever the environment names."""
    if not AzuriteServer.is_installed():
        compose = compose_command()
        if compose is not None:
            return ComposedAzurite(compose=compose)
    return _local_azurite(folder)


def choose_own_postgres(folder: Path) -> PostgresServer:
    """For faults: ours to kill, whatever the environment names."""
    if not PostgresCluster.is_installed():
        compose = compose_command()
        if compose is not None:
            return ComposedPostgres(compose=compose)
    return _local_postgres(folder, durable=True)


def servers_of(folder: Path) -> list[DevelopmentServer]:
    """All that may run for this folder: where they came from may have changed since."""
    servers: list[DevelopmentServer] = []
    if (folder / "rabbitmq").exists():
        servers.append(RabbitMQNode(folder=folder / "rabbitmq"))
    if (folder / "azurite").exists():
        servers.append(AzuriteServer(folder=folder / "azurite"))
    if (folder / "postgres").exists():
        servers.append(PostgresCluster(folder=folder / "postgres"))
    compose = compose_command()
    if compose is not None:
        kinds = (ComposedRabbitMQ, ComposedAzurite, ComposedPostgres)
        servers += [kind(compose=compose) for kind in kinds]
    return servers


def _local_rabbitmq(folder: Path) -> RabbitMQNode:
    if not RabbitMQNode.is_installed():
        raise ServerMissingError(_NO_RABBITMQ)
    return RabbitMQNode(folder=folder / "rabbitmq")


def _local_azurite(folder: Path) -> AzuriteServer:
    if not AzuriteServer.is_installed():
        raise ServerMissingError(_NO_AZURITE)
    return AzuriteServer(folder=folder / "azurite")


def _local_postgres(folder: Path, *, durable: bool) -> PostgresCluster:
    if not PostgresCluster.is_installed():
        raise ServerMissingError(_NO_POSTGRES)
    return PostgresCluster(folder=folder / "postgres", durable=durable)
