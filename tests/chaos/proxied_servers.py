"""Servers behind proxies, and the variables that lead a fleet through them."""

import re
from collections.abc import Mapping
from typing import Protocol
from urllib.parse import urlsplit

from devtools.servers import PostgresServer, RabbitMQServer, StorageServer
from devtools.servers.kinds import DevelopmentServer
from tests.chaos.tcp_proxy import TcpProxy

_PORT = re.compile(r"(?<=127\.0\.0\.1:)\d+")


class Proxied(Protocol):
    """What faults are done to.

    Attributes:
        names: of broker and storage, as the counts of faults name them.
        broker, storage: proxies; those of the storage by the port behind each.
        crashing: the server that is killed and restarted.
    """

    names: tuple[str, str]
    broker: TcpProxy
    storage: Mapping[str, TcpProxy]
    crashing: DevelopmentServer


class ProxiedPostgres:
    """One proxy before the database, which is broker and storage at once."""

    names = ("server", "server")

    def __init__(self, *, postgres: PostgresServer) -> None:
        self.crashing: DevelopmentServer = postgres
        self._url = postgres.url
        port = _PORT.findall(postgres.url)[0]
        self.broker = TcpProxy(target_port=int(port))
        self.storage: Mapping[str, TcpProxy] = {port: self.broker}

    def direct(self) -> dict[str, str]:
        """Return the variables that name the server itself."""
        return {"JOBFLEET_BACKEND": "postgres", "JOBFLEET_POSTGRES_URL": self._url}

    def proxied(self) -> dict[str, str]:
        """Return the variables that name the proxy."""
        url = _PORT.sub(str(self.broker.port), self._url)
        return self.direct() | {"JOBFLEET_POSTGRES_URL": url}


class ProxiedServers:
    """One proxy before the broker, one before each service of the storage."""

    names = ("broker", "storage")

    def __init__(self, *, rabbitmq: RabbitMQServer, azurite: StorageServer) -> None:
        self.rabbitmq = rabbitmq
        self.crashing: DevelopmentServer = rabbitmq
        self._azurite = azurite
        self.broker = TcpProxy(target_port=urlsplit(rabbitmq.url).port or 5672)
        ports = _PORT.findall(azurite.connection_string)
        self.storage: Mapping[str, TcpProxy] = {
            port: TcpProxy(target_port=int(port)) for port in ports
        }

    async def start(self) -> None:
        for proxy in (self.broker, *self.storage.values()):
            await proxy.start()

    async def stop(self) -> None:
        for proxy in (self.broker, *self.storage.values()):
            await proxy.stop()

    def direct(self) -> dict[str, str]:
        """Return the variables that name the servers themselves."""
        return _variables(self.rabbitmq.url, self._azurite.connection_string)

    def proxied(self) -> dict[str, str]:
        """Return the variables that name the proxies."""
        url = _PORT.sub(str(self.broker.port), self.rabbitmq.url)
        return _variables(url, _PORT.sub(self._behind, self._azurite.connection_string))

    def _behind(self, port: re.Match[str]) -> str:
        return str(self.storage[port[0]].port)


def _variables(rabbitmq: str, storage: str) -> dict[str, str]:
    return {
        "JOBFLEET_BACKEND": "azure",
        "JOBFLEET_RABBITMQ_URL": rabbitmq,
        "JOBFLEET_STORAGE_CONNECTION_STRING": storage,
    }
