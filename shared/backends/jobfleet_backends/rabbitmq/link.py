"""One connection to the broker, opened when it is needed and opened again after a loss."""

from __future__ import annotations

import asyncio
import random

import aiormq
from aiormq.abc import AbstractChannel, AbstractConnection
from aiormq.exceptions import ConnectionClosed, InvalidFrameError
from yarl import URL

from jobfleet_backends.rabbitmq.failures import speaking
from jobfleet_backends.rabbitmq.reachability import Reachability
from jobfleet_backends.rabbitmq.tolerant_transport import TolerantTransport
from jobfleet_contracts.errors import BackendError, BackendUnavailable

CONNECT_SECONDS = 5.0
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 2.0
STEADY_SECONDS = 5.0
"""A connection that lived shorter is opened again with back-off, as one that failed."""


class Link:
    """Hands out the one connection; whoever asks while it is away starts the next attempt."""

    def __init__(self, *, url: URL, purpose: str, reachability: Reachability) -> None:
        self.address = f"{url.host}:{url.port}"
        self._url = url
        self._purpose = purpose
        self._reachability = reachability
        self._current: AbstractConnection | None = None
        self._opening: asyncio.Task[AbstractConnection] | None = None
        self._checking: asyncio.Task[None] | None = None
        self._pause = 0.0
        self._opened_at = 0.0
        self._closed = False

    async def connection(self) -> AbstractConnection:
        """Return the open connection; one attempt to open it, after the back-off's pause.

        Raises:
            BackendUnavailable: the broker is away, or this was closed.
            BackendForbidden: it refuses user, password or virtual host.
        """
        if self._current is not None and not self._current.is_closed:
            return self._current
        if self._closed:
            raise self._was_closed()
        if self._opening is None or self._opening.done():
            self._opening = asyncio.create_task(self._open(), name=f"rabbitmq-{self._purpose}")
            self._opening.add_done_callback(_retrieve)
        try:
            return await asyncio.shield(self._opening)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if self._opening.cancelled() and task is not None and not task.cancelling():
                raise self._was_closed() from None
            raise

    async def channel(self, *, confirms: bool = False) -> AbstractChannel:
        """Open a channel; with ``confirms`` unroutable messages raise too.

        Raises:
            BackendUnavailable, BackendForbidden: as :meth:`connection`.
        """
        connection = await self.connection()
        with speaking(self.address, "open a channel"):
            try:
                return await connection.channel(
                    publisher_confirms=confirms, on_return_raises=confirms, timeout=CONNECT_SECONDS
                )
            except TimeoutError:
                self.suspect()
                raise

    async def is_blocked(self) -> bool:
        """Whether an alarm of the broker (memory, disk) stops this connection's publishing."""
        if self._current is None or self._current.is_closed:
            return False
        try:
            async with asyncio.timeout(0):
                await self._current.ready()
        except TimeoutError:
            return True
        return False

    def suspect(self) -> None:
        """Something waited in vain: look whether the connection still lives, else close it."""
        if self._checking is None or self._checking.done():
            self._checking = asyncio.create_task(self._check(), name="rabbitmq-check")
            self._checking.add_done_callback(_retrieve)

    async def close(self) -> None:
        """Close for good. Safe to call twice."""
        self._closed = True
        for task in (self._opening, self._checking):
            if task is not None and not task.done():
                task.cancel()
                await asyncio.wait([task])
        if self._current is not None:
            await _close(self._current)

    async def _open(self) -> AbstractConnection:
        if self._lived() > STEADY_SECONDS:
            self._pause = 0.0
        if self._pause:
            await asyncio.sleep(self._pause * random.uniform(0.7, 1.0))
        self._pause = min(max(self._pause * 2, FIRST_PAUSE_SECONDS), LONGEST_PAUSE_SECONDS)
        try:
            connection = await self._connect()
        except BackendError as error:
            self._reachability.lost(str(error))
            raise
        self._current, self._opened_at = connection, asyncio.get_running_loop().time()
        connection.closing.add_done_callback(self._on_closing)
        self._reachability.reached()
        return connection

    async def _connect(self) -> AbstractConnection:
        name = {"connection_name": f"jobfleet {self._purpose}"}
        transport = TolerantTransport()
        with speaking(self.address, "connect"):
            try:
                async with asyncio.timeout(CONNECT_SECONDS):
                    return await aiormq.connect(
                        self._url, client_properties=dict(name), transport_factory=transport
                    )
            except InvalidFrameError as error:
                if transport.refusal is None:
                    raise
                raise ConnectionClosed(*transport.refusal) from error

    def _was_closed(self) -> BackendUnavailable:
        return BackendUnavailable(f"the connection to RabbitMQ at {self.address} was closed")

    def _lived(self) -> float:
        return asyncio.get_running_loop().time() - self._opened_at if self._opened_at else 0.0

    def _on_closing(self, closing: asyncio.Future[None]) -> None:
        if self._closed:
            return
        problem = None if closing.cancelled() else closing.exception()
        self._reachability.lost(str(problem or "") or "the connection was lost")

    async def _check(self) -> None:
        connection = self._current
        if connection is None or connection.is_closed or await self.is_blocked():
            return
        try:
            with speaking(self.address, "open a channel"):
                async with asyncio.timeout(CONNECT_SECONDS):
                    channel = await connection.channel(publisher_confirms=False)
                    await channel.close()
        except BackendError:
            await _close(connection)


async def _close(connection: AbstractConnection) -> None:
    with speaking("", "close"):
        async with asyncio.timeout(CONNECT_SECONDS):
            await connection.close()


def _retrieve(task: asyncio.Task[object]) -> None:
    """Keep asyncio from reporting an error that nobody waited for."""
    if not task.cancelled():
        task.exception()
