"""A message as the client library hands it over."""

from typing import Any

from aio_pika import Message


def received(body: bytes, *, headers: dict[str, Any], message_id: str | None = None) -> Message:
    return Message(body, headers=headers, message_id=message_id)
