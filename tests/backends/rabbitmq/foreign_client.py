"""A client that knows nothing of jobfleet: pika, as its own documentation shows it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pika
from pika.adapters.blocking_connection import BlockingChannel


@contextmanager
def channel(url: str) -> Iterator[BlockingChannel]:
    connection = pika.BlockingConnection(pika.URLParameters(url))
    try:
        yield connection.channel()
    finally:
        connection.close()


def publish(url: str, exchange: str, body: bytes, key: str = "default", **properties: Any) -> None:
    with channel(url) as open_channel:
        open_channel.confirm_delivery()
        open_channel.basic_publish(
            exchange, key, body, pika.BasicProperties(**properties), mandatory=True
        )


def get(url: str, queue: str) -> tuple[pika.BasicProperties, bytes] | None:
    with channel(url) as open_channel:
        method, properties, body = open_channel.basic_get(queue, auto_ack=True)
        return None if method is None else (properties, body)


def delete_queue(url: str, queue: str) -> None:
    with channel(url) as open_channel:
        open_channel.queue_delete(queue)
