"""A channel for each work queue: one that does not answer holds up no other."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractQueue

from jobfleet_backends.rabbitmq.acknowledgements import Acknowledgements
from jobfleet_backends.rabbitmq.aio_pika_patches import ChannelWatch
from jobfleet_backends.rabbitmq.errors import translate_errors
from jobfleet_backends.rabbitmq.link import Link
from jobfleet_backends.rabbitmq.topology import LaneQueue
from jobfleet_contracts.errors import BackendError

ANSWER_SECONDS = 4.0
"""A quorum queue without a leader is declared at once, but a consumer waits for ever."""

Came = Callable[[AbstractIncomingMessage], None]
Lost = Callable[[], None]
OnMessage = Callable[[AbstractIncomingMessage], Awaitable[None]]


class LaneChannel:
    """Consumes from its queue, again and again with another prefetch, until it is closed.

    It is not opened twice: numbers of deliveries begin anew then.
    """

    def __init__(self, *, link: Link, queue: LaneQueue) -> None:
        self.queue = queue
        self._link = link
        self._channel: AbstractChannel | None = None
        self._is_closed = False
        self._watch: ChannelWatch | None = None
        self._consumers: list[tuple[AbstractQueue, str]] = []
        self._acknowledgements = Acknowledgements()

    @property
    def is_closed(self) -> bool:
        """Whether it was open and is no more: what came and is not acknowledged comes again."""
        return self._is_closed or (self._channel is not None and self._channel.is_closed)

    async def consume(
        self,
        came: Came,
        *,
        prefetch: int,
        lost: Lost,
        within: float = ANSWER_SECONDS,
    ) -> None:
        """Begin; ``came`` is called with each message, ``lost`` when no more will come.

        Called again before :meth:`cancel`, it adds a consumer with a prefetch of its own.

        Raises:
            BackendUnavailable, BackendForbidden: as :class:`Link`, or no answer in time.
        """

        async def on_message(received: AbstractIncomingMessage) -> None:
            came(received)

        try:
            with translate_errors(
                self._link.address, f"consume {self.queue.name}", permission="read"
            ):
                async with asyncio.timeout(within):
                    await self._consume(on_message, prefetch, lost)
        except BaseException:  # cancelled too: the library then closes the channel
            self._is_closed = True
            raise

    async def cancel(self) -> None:
        """End what :meth:`consume` began; closes if there is no answer.

        Whatever came until then was handed over before this returns.
        """
        consumers, self._consumers = self._consumers, []
        if self._watch is None or not consumers or self.is_closed:
            return
        try:
            with translate_errors(self._link.address, f"cancel the consumer of {self.queue.name}"):
                async with asyncio.timeout(ANSWER_SECONDS):
                    await self._watch.stop()
                    for queue, tag in consumers:
                        await queue.cancel(tag)
        except BackendError:
            await self.close()

    async def acknowledge(self, deliveries: Sequence[AbstractIncomingMessage]) -> None:
        """Take deliveries of this channel off the queue; do nothing if the channel is gone."""
        await self._acknowledgements.send(deliveries)

    async def close(self) -> None:
        """Let the broker take everything back that is not acknowledged."""
        channel, self._is_closed = self._channel, True
        if channel is None or channel.is_closed:
            return
        try:
            with translate_errors(self._link.address, "close a channel"):
                async with asyncio.timeout(ANSWER_SECONDS):
                    await channel.close()
        except BackendError:
            self._link.suspect()

    async def _consume(self, on_message: OnMessage, prefetch: int, lost: Lost) -> None:
        if self._channel is None:
            self._channel = await self._link.channel()
        if not self._consumers:
            self._watch = ChannelWatch(channel=self._channel, lost=lost)
            await self._watch.start()
        await self._channel.set_qos(prefetch_count=prefetch)
        queue = await self._channel.get_queue(self.queue.name, ensure=False)
        self._consumers.append((queue, await queue.consume(on_message)))
