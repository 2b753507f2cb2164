"""Messages of an exchange for one who listens now; what was sent before or while away is lost."""

from __future__ import annotations

import asyncio
import uuid
from collections import deque
from collections.abc import AsyncIterator

from aio_pika.abc import AbstractChannel, AbstractIncomingMessage

from jobfleet_backends.rabbitmq.aio_pika_patches import ChannelWatch
from jobfleet_backends.rabbitmq.connection import RabbitMQ
from jobfleet_backends.rabbitmq.errors import translate_errors
from jobfleet_backends.rabbitmq.topology import Route
from jobfleet_contracts.errors import BackendError, BackendUnavailable

KEPT_MESSAGES = 10_000
"""What a listener has not taken yet beyond this many is dropped, oldest first."""
RPC_SECONDS = 5.0
_PAUSE_SECONDS = 0.1


class Subscription:
    """An exclusive queue of its own; opened again after every loss, until the backend closes.

    Args:
        most_bytes: a larger body is left out; any user of the broker may send one.
    """

    def __init__(self, *, rabbitmq: RabbitMQ, route: Route, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._rabbitmq = rabbitmq
        self._link = rabbitmq.consuming
        self._route = route
        self._bodies: deque[bytes] = deque(maxlen=KEPT_MESSAGES)
        self._changed = asyncio.Event()
        self._channel: AbstractChannel | None = None
        self._is_broken = False

    async def bodies(self) -> AsyncIterator[bytes]:
        """Yield message bodies as they come.

        Raises:
            BackendForbidden: the broker refuses user, virtual host or permission.
        """
        closing = asyncio.create_task(self._rabbitmq.closed.wait(), name="rabbitmq-subscription")
        try:
            while not closing.done():
                turn = asyncio.create_task(self._wait(), name="rabbitmq-listening")
                await _first_of(turn, closing)
                while self._bodies:
                    yield self._bodies.popleft()
        finally:
            closing.cancel()
            await self._close()

    async def _wait(self) -> None:
        """Return when something came; opens first what is not open."""
        if self._channel is None or self._is_broken:
            await self._open_again()
        else:
            await self._changed.wait()
        self._changed.clear()

    async def _open_again(self) -> None:
        try:
            await self._close()
            await self._open()
        except BackendUnavailable:
            self._is_broken = True
            await asyncio.sleep(_PAUSE_SECONDS)  # the link pauses between attempts by itself

    async def _open(self) -> None:
        channel = self._channel = await self._link.channel()
        self._is_broken = False
        await ChannelWatch(channel=channel, lost=self._on_broken).start()
        name = f"{self._route.exchange}.{uuid.uuid4()}"
        permission = "configure, write and read"
        with translate_errors(
            self._link.address, f"listen to {self._route}", permission=permission
        ):
            async with asyncio.timeout(RPC_SECONDS):
                await self._route.declare(channel)
                queue = await channel.declare_queue(name, exclusive=True, auto_delete=True)
                await queue.bind(self._route.exchange, self._route.routing_key)
                await queue.consume(self._on_message, no_ack=True)

    async def _on_message(self, received: AbstractIncomingMessage) -> None:
        if len(received.body) <= self._most_bytes:
            self._bodies.append(received.body)
            self._changed.set()

    def _on_broken(self) -> None:
        self._is_broken = True
        self._changed.set()

    async def _close(self) -> None:
        channel, self._channel = self._channel, None
        if channel is None or channel.is_closed:
            return
        try:
            with translate_errors(self._link.address, "close a channel"):
                async with asyncio.timeout(RPC_SECONDS):
                    await channel.close()
        except BackendError:
            self._link.suspect()


async def _first_of(turn: asyncio.Task[None], closing: asyncio.Task[bool]) -> None:
    """Wait for either; end the turn, whatever it waits for, and raise what it raised."""
    try:
        await asyncio.wait([turn, closing], return_when=asyncio.FIRST_COMPLETED)
    finally:
        if not turn.done():
            turn.cancel()
            await asyncio.wait([turn])
    if not turn.cancelled():
        turn.result()
