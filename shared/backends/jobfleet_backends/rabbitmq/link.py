"""One connection to the broker, opened when it is needed and opened again after a loss."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import aio_pika
from aio_pika.abc import AbstractChannel
from yarl import URL

from jobfleet_backends.rabbitmq.aio_pika_patches import TolerantConnection
from jobfleet_backends.rabbitmq.errors import translate_errors
from jobfleet_backends.rabbitmq.reachability import Reachability
from jobfleet_backends.rabbitmq.topology import DeclareAgain, Route
from jobfleet_contracts.errors import BackendError, BackendUnavailable

CONNECT_SECONDS = 5.0
HEARTBEAT_SECONDS = 20
"""After three of these RabbitMQ 3.10 takes back what a silent client holds (measured: 60 s, as long
as a lease). With its default of 60 s it would be three minutes. Its guide warns of less than 5."""
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 2.0
STEADY_SECONDS = 5.0
"""A connection that lived shorter is opened again with back-off, as one that failed."""


class Link:
    """Hands out the one connection; a call while it is away starts the next attempt."""

    def __init__(self, *, url: URL, purpose: str, reachability: Reachability) -> None:
        self.address = f"{url.host}:{url.port}"
        self._url = url
        self._purpose = purpose
        self._reachability = reachability
        self._current: TolerantConnection | None = None
        self._idle: list[AbstractChannel] = []
        self._opening: asyncio.Task[TolerantConnection] | None = None
        self._checking: asyncio.Task[None] | None = None
        self._pause = 0.0
        self._opened_at: float | None = None
        self._closed = False

    @property
    def is_open(self) -> bool:
        """Whether there is a connection now."""
        return self._current is not None and self._current.is_open

    async def connection(self) -> TolerantConnection:
        """Return the open connection; one attempt to open it, after the back-off's pause.

        Raises:
            BackendUnavailable: the broker is away, or this was closed.
            BackendForbidden: it refuses user, password or virtual host.
        """
        if self._current is not None and self._current.is_open:
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
        with translate_errors(self.address, "open a channel"):
            try:
                async with asyncio.timeout(CONNECT_SECONDS):
                    return await connection.channel(
                        publisher_confirms=confirms, on_return_raises=confirms
                    )
            except TimeoutError:
                self.suspect()
                raise

    @asynccontextmanager
    async def borrowed_channel(self) -> AsyncIterator[AbstractChannel]:
        """Lend a channel for a few calls; it is kept for the next who asks, unless they failed.

        The client library forgets a channel, however it was closed, only with its connection.

        Raises:
            BackendUnavailable, BackendForbidden: as :meth:`connection`.
        """
        self._idle = [channel for channel in self._idle if not channel.is_closed]
        channel = self._idle.pop() if self._idle else await self.channel()
        yield channel
        self._idle.append(channel)

    async def declare(self, route: Route) -> None:
        """Declare a route and all that it leads to.

        Raises:
            BackendUnavailable, BackendForbidden: as :meth:`connection`.
        """
        while True:
            async with self.borrowed_channel() as channel:
                with suppress(DeclareAgain):
                    return await route.declare(channel)

    async def ready(self) -> None:
        """Wait while an alarm of the broker (memory, disk) stops this connection's publishing.

        Raises:
            BackendUnavailable, BackendForbidden: as :meth:`connection`.
        """
        connection = await self.connection()
        await connection.ready()

    async def is_blocked(self) -> bool:
        """Whether there is such an alarm."""
        if self._current is None or not self._current.is_open:
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

    async def _open(self) -> TolerantConnection:
        if self._was_steady():
            self._pause = 0.0
        if self._pause:
            await asyncio.sleep(self._pause * random.uniform(0.7, 1.0))
        self._pause = min(max(self._pause * 2, FIRST_PAUSE_SECONDS), LONGEST_PAUSE_SECONDS)
        if self._current is not None:
            await _close(self._current)  # it is gone; this ends what the library keeps of it
        try:
            connection = await self._connect()
        except BackendError as error:
            self._reachability.lost(str(error))
            raise
        self._current, self._opened_at = connection, asyncio.get_running_loop().time()
        connection.close_callbacks.add(self._on_closing)
        self._reachability.reached()
        return connection

    async def _connect(self) -> TolerantConnection:
        with translate_errors(self.address, "connect"):
            async with asyncio.timeout(CONNECT_SECONDS):
                return await aio_pika.connect(
                    self._url,
                    client_properties={"connection_name": f"jobfleet {self._purpose}"},
                    connection_class=TolerantConnection,
                    heartbeat=self._url.query.get("heartbeat", HEARTBEAT_SECONDS),
                )

    def _was_closed(self) -> BackendUnavailable:
        return BackendUnavailable(f"the connection to RabbitMQ at {self.address} was closed")

    def _was_steady(self) -> bool:
        """Whether the connection before lived long; true for the first attempt after it only."""
        opened_at, self._opened_at = self._opened_at, None
        if opened_at is None:
            return False
        return asyncio.get_running_loop().time() - opened_at > STEADY_SECONDS

    def _on_closing(self, _: object, problem: BaseException | None) -> None:
        if not self._closed:
            self._reachability.lost(str(problem or "") or "the connection was lost")

    async def _check(self) -> None:
        connection = self._current
        if connection is None or not connection.is_open or await self.is_blocked():
            return
        try:
            with translate_errors(self.address, "open a channel"):
                async with asyncio.timeout(CONNECT_SECONDS):
                    channel = await connection.channel(publisher_confirms=False)
                    await channel.close()
        except BackendError:
            await _close(connection)


async def _close(connection: TolerantConnection) -> None:
    with translate_errors("", "close"):
        async with asyncio.timeout(CONNECT_SECONDS):
            await connection.close()


def _retrieve(task: asyncio.Task[object]) -> None:
    """Keep asyncio from reporting an error that no task awaits."""
    if not task.cancelled():
        task.exception()
