"""A message that anybody may write is measured before anything is built of it."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest

from jobfleet_backends.rabbitmq.message_codec import decode_message as from_broker
from jobfleet_backends.sql.message_codec import decode_message as from_rows
from jobfleet_contracts.job_id import new_id
from jobfleet_contracts.message import JobMessage, MalformedMessage


class Received:
    """What aio-pika hands over."""

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.headers: dict[str, Any] = {}
        self.message_id = new_id()
        self.exchange = self.routing_key = ""


def _by_broker(body: bytes) -> object:
    received: Any = Received(body)
    return from_broker(received, key=None)


WAYS: dict[str, Callable[[bytes], object]] = {
    "sql": lambda body: from_rows(body, None),
    "rabbitmq": _by_broker,
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("item", "count", "why"),
    [(b"{}", 1_000_000, "values; at most 100,000"), (b"1" * 50, 120_000, "bytes; at most 4,194")],
)
def test_a_huge_body_is_malformed_and_nothing_is_built_of_it(
    way: str, item: bytes, count: int, why: str
) -> None:
    items = b",".join([item] * count)
    body = b'{"jobId":"%s","type":"echo","payload":[%s]}' % (new_id().encode(), items)
    tracemalloc.start()
    try:
        message = WAYS[way](body)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert isinstance(message, MalformedMessage)
    assert why in message.reason
    assert message.body == body
    assert peak < 5 * len(body)


@pytest.mark.parametrize("way", WAYS)
def test_a_body_within_the_limits_is_a_job(way: str) -> None:
    items = b",".join([b"{}"] * 20_000)
    body = b'{"jobId":"%s","type":"echo","payload":[%s]}' % (new_id().encode(), items)
    assert isinstance(WAYS[way](body), JobMessage)
