"""A transport that keeps one unreadable message from ending the connection, and close reasons.

The client library decodes the properties of a message while it reads frames; a message id that is
not UTF-8, or a timestamp in nanoseconds, ends the connection there. The broker delivers the message
again, so it would take the whole consumer with it. A delivery mode or an expiration that is none
raises later, where the message stays unanswered and unseen. Here such properties are replaced by
one header that says why, before the library sees them; the body stays as it is.

The library also forgets why the broker closed a connection that was not open yet (a virtual host
refused): the reason is kept here.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from typing import Any, cast

from aio_pika import DeliveryMode

# aio-pika has no transports of its own: it hands this one down.
from aiormq import TransportFactory
from aiormq.connection import TCPTransportFactory, TLSTransportFactory
from pamqp import frame
from pamqp.commands import Basic, Connection
from pamqp.exceptions import PAMQPException
from pamqp.frame import FrameTypes
from pamqp.header import ContentHeader
from typing_extensions import override
from yarl import URL

UNREADABLE = "jobfleet-unreadable"

_METHOD = b"\x01"
_CONTENT_HEADER = b"\x02"
_CLOSE = b"\x00\x0a\x00\x32"  # class and method of Connection.Close, after the frame's start
_FRAME = struct.Struct(">HI")  # channel and payload size, after the type
_BODY_SIZE = slice(11, 19)  # in a content header frame: type, channel, size, class, weight, it


class TolerantTransport(TransportFactory):
    """TCP, or TLS for ``amqps``, as the library opens it, read through a :class:`_Reader`.

    Attributes:
        refusal: code and text with which the broker closed the connection.
    """

    def __init__(self) -> None:
        self.refusal: tuple[int, str] | None = None

    @override
    async def create(
        self, url: URL, **kwargs: Any
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect; called by the library."""
        factory = TLSTransportFactory() if url.scheme == "amqps" else TCPTransportFactory()
        reader, writer = await factory.create(url, **kwargs)
        return cast("asyncio.StreamReader", _Reader(reader, on_close=self._refused)), writer

    def _refused(self, close: FrameTypes) -> None:
        if isinstance(close, Connection.Close):
            self.refusal = (close.reply_code or 0, str(close.reply_text))


class _Reader:
    """What the library asks of a stream reader; it takes the first byte of each frame alone."""

    def __init__(
        self, reader: asyncio.StreamReader, *, on_close: Callable[[FrameTypes], None]
    ) -> None:
        self._reader = reader
        self._on_close = on_close
        self._ready = b""

    def at_eof(self) -> bool:
        return not self._ready and self._reader.at_eof()

    async def read(self) -> bytes:
        return self._ready + await self._reader.read()

    async def readexactly(self, size: int) -> bytes:
        if not self._ready:
            part = await self._reader.readexactly(size)
            if size != 1 or part not in (_METHOD, _CONTENT_HEADER):
                return part
            self._ready = await self._frame(part)
        part, self._ready = self._ready[:size], self._ready[size:]
        return part

    async def _frame(self, kind: bytes) -> bytes:
        start = await self._reader.readexactly(_FRAME.size)
        channel, size = _FRAME.unpack(start)
        content = kind + start + await self._reader.readexactly(size + 1)
        if kind == _CONTENT_HEADER:
            return _readable(content, channel)
        if content.startswith(_CLOSE, 1 + _FRAME.size):
            self._on_close(frame.unmarshal(content)[2])
        return content


def _readable(content: bytes, channel: int) -> bytes:
    try:
        header = frame.unmarshal(content)[2]
        if isinstance(header, ContentHeader):
            _raise_early(header.properties)
    except (PAMQPException, ValueError) as error:
        properties = Basic.Properties(headers={UNREADABLE: str(error)[:200]})
    else:
        return content
    body_size = int.from_bytes(content[_BODY_SIZE])
    return frame.marshal(ContentHeader(body_size=body_size, properties=properties), channel)


def _raise_early(properties: Basic.Properties) -> None:
    """Raise what aio-pika raises on these when it makes its message."""
    DeliveryMode(properties.delivery_mode or DeliveryMode.NOT_PERSISTENT)
    float(properties.expiration or 0)
