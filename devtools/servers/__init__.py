"""RabbitMQ, Azurite and PostgreSQL for development and tests.

Each comes from the first place that has it: the environment, Docker Compose, a binary on this
machine. See `python -m devtools.servers --help`.
"""

from devtools.servers.azurite_server import AzuriteServer
from devtools.servers.choice import (
    choose_own_postgres,
    choose_own_rabbitmq,
    choose_own_storage,
    choose_postgres,
    choose_rabbitmq,
    choose_storage,
)
from devtools.servers.errors import ServerError, ServerMissingError, ServerNotOursError
from devtools.servers.kinds import PostgresServer, RabbitMQServer, StorageServer
from devtools.servers.postgres_cluster import PostgresCluster
from devtools.servers.rabbitmq_node import RabbitMQNode

__all__ = [
    "AzuriteServer",
    "PostgresCluster",
    "PostgresServer",
    "RabbitMQNode",
    "RabbitMQServer",
    "ServerError",
    "ServerMissingError",
    "ServerNotOursError",
    "StorageServer",
    "choose_own_postgres",
    "choose_own_rabbitmq",
    "choose_own_storage",
    "choose_postgres",
    "choose_rabbitmq",
    "choose_storage",
]
