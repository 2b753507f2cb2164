"""A message handed to this worker."""

from __future__ import annotations

from jobfleet_backends.rabbitmq.intake import Arrival, Intake
from jobfleet_backends.rabbitmq.message_codec import decode_message
from jobfleet_contracts.message import JobMessage, MalformedMessage


class RabbitDelivery:
    """What came, and the way to take it off the queue."""

    __slots__ = ("_arrival", "_intake", "message")

    def __init__(self, *, arrival: Arrival, intake: Intake) -> None:
        self.message: JobMessage | MalformedMessage = decode_message(arrival.received)
        self._arrival = arrival
        self._intake = intake

    async def ack(self) -> None:
        """Take it off the queue, at the broker within a second. Quiet where the channel is gone."""
        await self._intake.acknowledge(self._arrival)
