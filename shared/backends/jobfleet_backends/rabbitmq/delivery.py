"""A message handed to this worker."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from jobfleet_backends.rabbitmq.message_codec import decode_message
from jobfleet_backends.rabbitmq.prefetch_window import Delivery, PrefetchWindow
from jobfleet_contracts.message import JobMessage, MalformedMessage


class RabbitDelivery:
    """What came, and the way to take it off the queue."""

    __slots__ = ("_delivery", "_requeue", "_window", "message")
    lost_workers = 0

    def __init__(
        self,
        *,
        delivery: Delivery,
        window: PrefetchWindow,
        requeue: Callable[[PrefetchWindow, Delivery], Awaitable[None]],
        key: bytes | None,
    ) -> None:
        self.message: JobMessage | MalformedMessage = decode_message(delivery.received, key=key)
        self._delivery = delivery
        self._window = window
        self._requeue = requeue

    async def ack(self) -> None:
        """Take it off the queue, within a second; do nothing if the channel is gone."""
        await self._window.acknowledge(self._delivery)

    async def requeue(self) -> None:
        """Send it to its queue again as it came, then take it off. Twice, if that is cut short."""
        await self._requeue(self._window, self._delivery)
