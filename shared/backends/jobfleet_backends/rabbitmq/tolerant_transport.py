"""A transport that keeps one unreadable message from ending the connection.

The client library decodes the properties of a message while it reads frames; a message id that is
not UTF-8, or a timestamp in nanoseconds, ends the connection there. The broker delivers the message
again, so it would take the whole consumer with it. Here such properties are replaced by one header
that says why, before the library sees them; the body stays as it is.
"""

from __future__ import annotations

import asyncio
import struct
from typing import Any, cast

from aiormq import TransportFactory
from aiormq.connection import TCPTransportFactory, TLSTransportFactory
from pamqp import frame
from pamqp.commands import Basic
from pamqp.exceptions import PAMQPException
from pamqp.header import ContentHeader
from typing_extensions import override
from yarl import URL

UNREADABLE = "jobfleet-unreadable"

_CONTENT_HEADER = b"\x02"
_FRAME = struct.Struct(">HI")  # channel and payload size, after the type
_BODY_SIZE = slice(11, 19)  # in a content header frame: type, channel, size, class, weight, it


class TolerantTransport(TransportFactory):
    """TCP, or TLS for ``amqps``, as the library opens it, read through a :class:`_Reader`."""

    @override
    async def create(
        self, url: URL, **kwargs: Any
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect; called by the library."""
        factory = TLSTransportFactory() if url.scheme == "amqps" else TCPTransportFactory()
        reader, writer = await factory.create(url, **kwargs)
        return cast("asyncio.StreamReader", _Reader(reader)), writer


class _Reader:
    """What the library asks of a stream reader; it takes the first byte of each frame alone."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader
        self._ready = b""

    def at_eof(self) -> bool:
        return not self._ready and self._reader.at_eof()

    async def read(self) -> bytes:
        return self._ready + await self._reader.read()

    async def readexactly(self, size: int) -> bytes:
        if not self._ready:
            part = await self._reader.readexactly(size)
            if size != 1 or part != _CONTENT_HEADER:
                return part
            self._ready = await self._content_header()
        part, self._ready = self._ready[:size], self._ready[size:]
        return part

    async def _content_header(self) -> bytes:
        start = await self._reader.readexactly(_FRAME.size)
        channel, size = _FRAME.unpack(start)
        content = _CONTENT_HEADER + start + await self._reader.readexactly(size + 1)
        try:
            frame.unmarshal(content)
        except (PAMQPException, ValueError) as error:
            return _replacement(content, channel, str(error))
        return content


def _replacement(content: bytes, channel: int, reason: str) -> bytes:
    properties = Basic.Properties(headers={UNREADABLE: reason[:200]})
    body_size = int.from_bytes(content[_BODY_SIZE])
    return frame.marshal(ContentHeader(body_size=body_size, properties=properties), channel)
