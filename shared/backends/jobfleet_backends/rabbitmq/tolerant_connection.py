"""aio-pika's connection with a transport that survives unreadable messages, and with reasons."""

from __future__ import annotations

from typing import Any

from aio_pika import Connection
from aio_pika.abc import TimeoutType
from aio_pika.exceptions import ConnectionClosed, InvalidFrameError
from typing_extensions import override
from yarl import URL

from jobfleet_backends.rabbitmq.tolerant_transport import TolerantTransport


class TolerantConnection(Connection):
    """The plain connection, not the robust one: who uses it is told of each loss and opens anew.

    The robust one would repeat a wrong password for ever and keep to itself why the broker is away.
    """

    def __init__(self, url: URL, **options: Any) -> None:
        super().__init__(url, **options)
        self._tolerant = TolerantTransport()
        # connect() would put it into the URL's query, the only other way down to the transport.
        self.kwargs["transport_factory"] = self._tolerant

    @property
    def is_open(self) -> bool:
        """Whether it can be used. (``is_closed`` is said of what *we* closed, not of a loss.)"""
        return self.connected.is_set() and not self.is_closed

    @property
    def server_version(self) -> str | None:
        """The broker's version, where it tells it."""
        if self.transport is None:
            return None
        # Only the connection below aio-pika's keeps what the broker said of itself.
        version = self.transport.connection.server_properties.get("version")
        return version if isinstance(version, str) else None

    @override
    async def connect(self, timeout: TimeoutType = None) -> None:
        """Open it; called by the library.

        Raises:
            ConnectionClosed: the broker refused it, with code and text.
        """
        try:
            await super().connect(timeout)
        except BaseException as error:
            await self.close()  # else the library starts a task for that when this is collected
            refusal = self._tolerant.refusal
            if isinstance(error, InvalidFrameError) and refusal is not None:
                raise ConnectionClosed(*refusal) from error
            raise

    @override
    async def ready(self) -> None:
        """Wait until it is open and no alarm of the broker stops its publishing."""
        if self.transport is None:
            await super().ready()
        else:
            await self.transport.ready()
