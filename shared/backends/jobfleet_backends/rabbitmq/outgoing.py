"""A message on its way to the broker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from aiormq import spec
from pamqp.common import FieldValue

from jobfleet_contracts.job import new_id

PERSISTENT, TRANSIENT = 2, 1
JSON = "application/json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """Body and the few properties that jobfleet uses.

    Attributes:
        headers: small; all of them travel in one frame (128 KiB with RabbitMQ's default).
        message_id: the job id where it is about a job; the client library needs one.
    """

    body: bytes
    headers: Mapping[str, FieldValue] = field(default_factory=dict)
    content_type: str | None = JSON
    message_id: str = field(default_factory=new_id)
    persistent: bool = True

    def properties(self) -> spec.Basic.Properties:
        """Return fresh properties: the client library writes into them."""
        return spec.Basic.Properties(
            content_type=self.content_type,
            headers=dict(self.headers),
            delivery_mode=PERSISTENT if self.persistent else TRANSIENT,
            message_id=self.message_id,
        )
