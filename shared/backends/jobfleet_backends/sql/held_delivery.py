"""A message that a consumer holds in a table of the database."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from jobfleet_backends.sql.message_codec import decode_message
from jobfleet_contracts.message import JobMessage, MalformedMessage


class Holder(Protocol):
    """The consumer that holds the message."""

    async def acknowledge(self, number: int) -> None:
        """Remove a message that this consumer holds."""
        ...

    async def requeue(self, number: int) -> None:
        """Show a message that this consumer holds to everybody."""
        ...


class HeldDelivery:
    """A message in a consumer's hands; see :class:`jobfleet_contracts.ports.Delivery`."""

    __slots__ = ("_holder", "lost_workers", "message", "number")

    def __init__(
        self,
        *,
        holder: Holder,
        number: int,
        message: JobMessage | MalformedMessage,
        lost_workers: int,
    ) -> None:
        self._holder = holder
        self.number = number
        self.message = message
        self.lost_workers = lost_workers
        if isinstance(message, JobMessage):
            self.lost_workers += message.lost_workers

    async def ack(self) -> None:
        """Take it off the queue; do nothing if it has gone back."""
        await self._holder.acknowledge(self.number)

    async def requeue(self) -> None:
        """Let another worker have it at once."""
        await self._holder.requeue(self.number)


def held_deliveries(holder: Holder, rows: Iterable[tuple[Any, ...]]) -> list[HeldDelivery]:
    """Return the messages that a consumer has just taken.

    Args:
        rows: number, body, hints, and how many deliveries were not answered.
    """
    return [
        HeldDelivery(
            holder=holder,
            number=number,
            message=decode_message(body, hints, unanswered),
            lost_workers=unanswered,
        )
        for number, body, hints, unanswered in rows
    ]
