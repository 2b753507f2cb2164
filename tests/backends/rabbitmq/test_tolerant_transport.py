"""Properties that the client library cannot take become a header that says so."""

import asyncio
from typing import Any

import pytest
from pamqp import frame
from pamqp.commands import Basic
from pamqp.header import ContentHeader

from jobfleet_backends.rabbitmq.tolerant_transport import UNREADABLE, _Reader


def _sent(**properties: Any) -> bytes:
    return frame.marshal(ContentHeader(body_size=7, properties=Basic.Properties(**properties)), 3)


async def _read(sent: bytes) -> ContentHeader:
    """What the library sees of a content header that the broker sends."""
    stream = asyncio.StreamReader()
    stream.feed_data(sent)
    stream.feed_eof()
    reader = _Reader(stream, on_close=print)
    seen = await reader.readexactly(1) + await reader.read()
    _, channel, header = frame.unmarshal(seen)
    assert isinstance(header, ContentHeader)
    assert (channel, header.body_size) == (3, 7)
    return header


@pytest.mark.parametrize(
    ("sent", "why"),
    [
        (_sent(delivery_mode=2).replace(b"\x02\xce", b"\x03\xce"), "3 is not a valid DeliveryMode"),
        (_sent(expiration="soon"), "'soon'"),
    ],
    ids=["delivery mode", "expiration"],
)
async def test_what_aio_pika_would_raise_on_is_named_in_a_header(sent: bytes, why: str) -> None:
    header = await _read(sent)
    assert header.properties.headers is not None
    assert why in str(header.properties.headers[UNREADABLE])


async def test_other_properties_come_as_they_were_sent() -> None:
    header = await _read(_sent(message_id="id", delivery_mode=2, expiration="60000"))
    assert (header.properties.message_id, header.properties.headers) == ("id", None)
