"""A message on its way to the broker."""

from __future__ import annotations

from dataclasses import dataclass, field

from aio_pika import DeliveryMode, Message
from aio_pika.abc import HeadersType

from jobfleet_contracts.job_id import new_id

JSON = "application/json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """Body and the few properties that jobfleet uses.

    Attributes:
        headers: small; all of them travel in one frame (128 KiB with RabbitMQ's default).
        message_id: the job id if it is about a job; the client library needs one.
    """

    body: bytes
    headers: HeadersType = field(default_factory=dict)
    content_type: str | None = JSON
    message_id: str = field(default_factory=new_id)
    persistent: bool = True

    def message(self) -> Message:
        """Return it as aio-pika publishes it, afresh each time."""
        mode = DeliveryMode.PERSISTENT if self.persistent else DeliveryMode.NOT_PERSISTENT
        return Message(
            self.body,
            headers=dict(self.headers),
            content_type=self.content_type,
            delivery_mode=mode,
            message_id=self.message_id,
        )
