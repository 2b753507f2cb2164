"""RabbitMQ and Azurite behind proxies, and the variables that lead a fleet through them."""

import re
from urllib.parse import urlsplit

from devtools.servers import RabbitMQServer, StorageServer
from tests.chaos.tcp_proxy import TcpProxy

_PORT = re.compile(r"(?<=127\.0\.0\.1:)\d+")


class ProxiedServers:
    """One proxy before the broker, one before each service of the storage."""

    def __init__(self, *, rabbitmq: RabbitMQServer, azurite: StorageServer) -> None:
        self.rabbitmq = rabbitmq
        self._azurite = azurite
        self.broker = TcpProxy(target_port=urlsplit(rabbitmq.url).port or 5672)
        ports = _PORT.findall(azurite.connection_string)
        self.storage = {port: TcpProxy(target_port=int(port)) for port in ports}

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
