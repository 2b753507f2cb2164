"""Every workaround for aio-pika and the libraries below it; nothing else of jobfleet knows them.

Each names the code upstream that needs it, the version in which it was seen, and the test in
``tests/backends/rabbitmq/test_aio_pika_patches.py`` that fails once the library does without.
Where an issue is linked it is reported; the others are not.

1. **One unreadable message ends the connection** (:class:`TolerantTransport`). pamqp decodes the
   properties of a message while frames are read; a message id that is not UTF-8, or a timestamp in
   nanoseconds, ends the connection there. The broker delivers the message again, so it takes the
   whole consumer with it. Such properties are replaced by one header that says why; the body stays.
   pamqp 4.0.1, https://github.com/gmr/pamqp/issues/32
   Test: ``test_pamqp_still_raises_on_an_unreadable_message_id``.
2. **A delivery mode or an expiration that is none raises too late** (:class:`TolerantTransport`):
   where aio-pika makes its message, which then stays unanswered and unseen.
   aio-pika 10.2.1, ``IncomingMessage.__init__`` in
   https://github.com/mosquito/aio-pika/blob/10.2.1/aio_pika/message.py#L361
   Test: ``test_aio_pika_still_raises_where_it_makes_its_message``.
3. **The reason of a refused connection is lost** (:class:`TolerantConnection`). A virtual host
   that is refused becomes InvalidFrameError; code and text are kept here.
   aiormq 7.2.4, ``Connection._rpc`` in
   https://github.com/mosquito/aiormq/blob/7.2.4/aiormq/connection.py#L512
   Test: ``test_aio_pika_still_forgets_why_a_connection_is_refused``.
4. **``is_closed`` does not tell of a lost connection** (:attr:`TolerantConnection.is_open`), and
   only the connection below knows the broker's version.
   aio-pika 10.2.1, ``Connection.is_closed`` in
   https://github.com/mosquito/aio-pika/blob/10.2.1/aio_pika/connection.py#L63
   Test: ``test_aio_pika_still_calls_a_lost_connection_not_closed``.
5. **A consumer that the broker cancels is told nothing** (:class:`ChannelWatch`), as where its
   queue is deleted. The channel below aio-pika's can be asked.
   aio-pika 10.2.1, https://github.com/mosquito/aiormq/issues/187
   Test: ``test_aio_pika_still_tells_nobody_of_a_consumer_that_the_broker_cancelled``.
6. **A request on a lost connection ends without a reason** (:func:`name_lost_connections`): with
   CancelledError though no code cancelled it, with a bare Exception, or with StopAsyncIteration.
   aiormq 7.2.4, ``FutureStore.reject_all`` in
   https://github.com/mosquito/aiormq/blob/7.2.4/aiormq/base.py#L63 and
   ``FrameReceiver.get_frame`` in
   https://github.com/mosquito/aiormq/blob/7.2.4/aiormq/connection.py#L170
   Tests: ``test_aio_pika_still_ends_what_waits_on_a_closed_connection_without_a_reason`` and
   ``test_aiormq_still_ends_a_stream_without_a_frame_as_an_iteration``.
7. **A returned message is matched by its message id** (:class:`MessageIdLocks`): of two with one id
   on their way, one counts as confirmed. They are sent one after the other.
   aiormq 7.2.4, ``Channel._on_return_frame`` in
   https://github.com/mosquito/aiormq/blob/7.2.4/aiormq/channel.py#L513
   Test: ``test_aio_pika_still_confuses_returned_messages_of_one_id``.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast
from weakref import WeakValueDictionary

from aio_pika import Connection, DeliveryMode
from aio_pika.abc import AbstractChannel, TimeoutType
from aio_pika.exceptions import ConnectionClosed, InvalidFrameError

# aio-pika has no transports of its own: it hands this one down.
from aiormq import TransportFactory
from aiormq.connection import TCPTransportFactory, TLSTransportFactory
from pamqp import commands, frame
from pamqp.commands import Basic
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


class TolerantConnection(Connection):
    """The plain connection, not the robust one: its user hears of each loss and opens anew.

    The robust one would repeat a wrong password for ever and keep to itself why the broker is away.
    """

    def __init__(self, url: URL, **options: Any) -> None:
        super().__init__(url, **options)
        self._tolerant = TolerantTransport()
        # connect() would put it into the URL's query, the only other way down to the transport.
        self.kwargs["transport_factory"] = self._tolerant

    @property
    def is_open(self) -> bool:
        """Whether it can be used. (``is_closed`` is said of what *we* closed, not of a loss.)"""
        return self.connected.is_set() and not self.is_closed

    @property
    def server_version(self) -> str | None:
        """The broker's version, if it tells it."""
        if self.transport is None:
            return None
        # Only the connection below aio-pika's keeps the properties that the broker sent.
        version = self.transport.connection.server_properties.get("version")
        return version if isinstance(version, str) else None

    @override
    async def connect(self, timeout: TimeoutType = None) -> None:
        """Open it; called by the library.

        Raises:
            ConnectionClosed: the broker refused it, with code and text.
        """
        try:
            await super().connect(timeout)
        except BaseException as error:
            await self.close()  # else the library starts a task for that when this is collected
            refusal = self._tolerant.refusal
            if isinstance(error, InvalidFrameError) and refusal is not None:
                raise ConnectionClosed(*refusal) from error
            raise

    @override
    async def ready(self) -> None:
        """Wait until it is open and no alarm of the broker stops its publishing."""
        if self.transport is None:
            await super().ready()
        else:
            await self.transport.ready()


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
        if isinstance(close, commands.Connection.Close):
            self.refusal = (close.reply_code or 0, str(close.reply_text))


class ChannelWatch:
    """Calls ``lost`` when the channel closes or the broker cancels one of its consumers."""

    def __init__(self, *, channel: AbstractChannel, lost: Callable[[], None]) -> None:
        self._channel = channel
        self._lost = lost

    async def start(self) -> None:
        """Begin; raises ChannelInvalidStateError where the channel was never opened."""
        self._channel.close_callbacks.add(self._on_gone)
        # aio-pika's plain channel does not report a deleted queue, the one below it does.
        below = await self._channel.get_underlay_channel()
        below.on_consumer_cancel_callbacks.add(self._on_gone)

    async def stop(self) -> None:
        """End: a channel lives longer than most who watch it."""
        self._channel.close_callbacks.discard(self._on_gone)
        below = await self._channel.get_underlay_channel()
        below.on_consumer_cancel_callbacks.discard(self._on_gone)

    def _on_gone(self, *_: object) -> None:
        self._lost()


class ConnectionLost(Exception):
    """The connection was lost while a request was under way. The request may have been done."""


@contextmanager
def name_lost_connections() -> Iterator[None]:
    """Raise :class:`ConnectionLost` where the libraries end a request without a reason."""
    try:
        yield
    except asyncio.CancelledError:
        # Swallowing a cancellation of our own would leave a task that nothing can stop.
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise ConnectionLost from None
    except Exception as error:
        # By the exact type: every other error is an Exception too, and has its own meaning.
        if type(error) in (Exception, StopAsyncIteration):
            raise ConnectionLost from error
        raise


class MessageIdLocks:
    """Locks of one channel, so that messages with one message id are sent one after the other."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def of(self, message_id: str) -> asyncio.Lock:
        """Return the lock to hold from the publish until its confirm."""
        return self._locks.setdefault(message_id, asyncio.Lock())


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
