"""The broker as all adapters of this package share it: two connections and one sender."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from yarl import URL

from jobfleet_backends.rabbitmq.confirmed_sender import ConfirmedSender
from jobfleet_backends.rabbitmq.link import Link
from jobfleet_backends.rabbitmq.message_key import MessageKey
from jobfleet_backends.rabbitmq.reachability import Reachability
from jobfleet_backends.rabbitmq.topology import Topology
from jobfleet_contracts.backend import Probe
from jobfleet_contracts.errors import BackendError, BackendUnavailable, SettingsError

PROBE_SECONDS = 5.0
T = TypeVar("T")


class RabbitMQ:
    """Made on the event loop that owns the connections; opens them when they are needed.

    Publishing and consuming have a connection each: an alarm of the broker stops reading from
    one that publishes, acknowledgements included.

    Attributes:
        message_key: signs the fleet's own messages; without one given, this object's alone.
        closed: set when :meth:`close` begins; ends what waits for messages.

    Raises:
        SettingsError: the address cannot be parsed.
    """

    def __init__(self, *, url: str, namespace: str, message_key: MessageKey | None = None) -> None:
        parsed = _parse(url)
        reachability = Reachability(address=f"{parsed.host}:{parsed.port}")
        self._home = asyncio.get_running_loop()
        self.topology = Topology(namespace=namespace)
        self.publishing = Link(url=parsed, purpose="publishing", reachability=reachability)
        self.consuming = Link(url=parsed, purpose="consuming", reachability=reachability)
        self.sender = ConfirmedSender(link=self.publishing)
        self.message_key = message_key or MessageKey()
        self.closed = asyncio.Event()

    @property
    def address(self) -> str:
        """Host and port, without secrets."""
        return self.publishing.address

    @property
    def home(self) -> asyncio.AbstractEventLoop:
        """The event loop that owns the connections."""
        return self._home

    async def at_home(self, work: Coroutine[Any, Any, T]) -> T:
        """Run work on the loop that owns the connections, from whichever loop this is called.

        Raises:
            BackendUnavailable: that loop has ended.
        """
        if asyncio.get_running_loop() is self._home:
            return await work
        if not self._home.is_running():
            work.close()
            raise BackendUnavailable("the event loop that opened the connection has ended")
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._home))

    async def probe(self) -> Probe:
        """Ask the broker for a connection, at most 5 s."""
        return await self.at_home(self._probe())

    async def close(self) -> None:
        """Close both connections. Safe to call twice."""
        self.closed.set()
        await asyncio.gather(self.publishing.close(), self.consuming.close())

    async def _probe(self) -> Probe:
        remedy = "start RabbitMQ, or correct JOBFLEET_RABBITMQ_URL"
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                connection = await self.publishing.connection()
        except TimeoutError:
            return Probe("broker", self.address, False, f"silent for {PROBE_SECONDS:g} s", remedy)
        except BackendError as error:
            return Probe("broker", self.address, False, str(error), remedy)
        version = connection.server_version
        detail = f"RabbitMQ {version}" if version else "connected"
        return Probe("broker", self.address, True, detail)


def _parse(url: str) -> URL:
    try:
        parsed = URL(url)
        port = parsed.port or (5671 if parsed.scheme == "amqps" else 5672)
    except ValueError:
        parsed, port = URL(), 0
    if parsed.scheme not in ("amqp", "amqps") or not parsed.host:
        raise SettingsError(
            "JOBFLEET_RABBITMQ_URL: must look like amqp://USER:PASSWORD@HOST:5672/VHOST"
        )
    return parsed.with_port(port)
