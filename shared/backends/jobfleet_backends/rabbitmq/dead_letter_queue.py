"""Where malformed messages end, with the reason; it has no consumer."""

from __future__ import annotations

from aio_pika.abc import HeadersType

from jobfleet_backends.rabbitmq.connection import RabbitMQ
from jobfleet_backends.rabbitmq.message_codec import MAX_REASON_CHARACTERS
from jobfleet_backends.rabbitmq.outgoing import Outgoing
from jobfleet_contracts.cut_text import cut_text
from jobfleet_contracts.job_id import new_id
from jobfleet_contracts.json_size import MAX_FOREIGN_BYTES
from jobfleet_contracts.message import MalformedMessage

REASON = "jobfleet-reason"
SIZE = "jobfleet-size"
"""How many bytes a message had of which only the beginning is kept."""
_BEGINNING = 32_000
_ANY_BYTES = "application/octet-stream"


class RabbitDeadLetterQueue:
    """Puts malformed messages into ``<namespace>.dead``."""

    def __init__(self, *, rabbitmq: RabbitMQ) -> None:
        self._rabbitmq = rabbitmq

    async def add(self, letter: MalformedMessage) -> None:
        """Publish the message; returns when the broker has confirmed it.

        A body over 4 MiB, which no job may have, is published in part: its beginning, with its size
        in a header: a whole one may take longer than the limit, and be sent again each time.

        Raises:
            BackendUnavailable: not confirmed within 3 s; it may be there.
        """
        headers: HeadersType = {REASON: cut_text(letter.reason, MAX_REASON_CHARACTERS)}
        body = letter.body
        if len(body) > MAX_FOREIGN_BYTES:
            headers[SIZE] = len(body)
            body = body[:_BEGINNING]
        message = Outgoing(
            body=body,
            headers=headers,
            content_type=_ANY_BYTES,
            message_id=letter.message_id or new_id(),
        )
        route = self._rabbitmq.topology.to_dead()
        await self._rabbitmq.at_home(self._rabbitmq.sender.send(message, route))
