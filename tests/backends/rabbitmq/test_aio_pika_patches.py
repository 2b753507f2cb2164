"""Properties that the client library cannot take become a header that says so.

The tests named ``…_still_…`` show what the libraries do by themselves. Where one fails after an
update, its workaround in ``aio_pika_patches`` may go.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

import aio_pika
import pytest
from aio_pika.exceptions import InvalidFrameError, PublishError
from aio_pika.message import IncomingMessage
from aiormq.abc import DeliveredMessage
from aiormq.connection import FrameReceiver
from pamqp import frame
from pamqp.commands import Basic
from pamqp.exceptions import PAMQPException
from pamqp.header import ContentHeader
from yarl import URL

from devtools.servers import RabbitMQServer
from jobfleet_backends.rabbitmq import aio_pika_patches
from jobfleet_backends.rabbitmq.aio_pika_patches import UNREADABLE, _Reader
from tests.backends.rabbitmq import foreign_client


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


def test_pamqp_still_raises_on_an_unreadable_message_id() -> None:
    unreadable = _sent(message_id="id").replace(b"id", b"\xff\xfe")
    with pytest.raises(PAMQPException, match="utf-8"):
        frame.unmarshal(unreadable)


@pytest.mark.parametrize(
    "properties", [Basic.Properties(expiration="soon"), Basic.Properties(delivery_mode=1)]
)
def test_aio_pika_still_raises_where_it_makes_its_message(properties: Basic.Properties) -> None:
    if properties.delivery_mode is not None:
        properties.delivery_mode = 3
    delivered = DeliveredMessage(
        delivery=Basic.Deliver("tag", 1, False, "", ""),
        header=ContentHeader(body_size=0, properties=properties),
        body=b"",
        channel=None,  # type: ignore[arg-type]
    )
    with pytest.raises(ValueError, match=r"soon|3 is not"):
        IncomingMessage(delivered)


async def test_aio_pika_still_forgets_why_a_connection_is_refused(rabbitmq: RabbitMQServer) -> None:
    url = URL(rabbitmq.url).with_path("/nowhere")
    with pytest.raises(InvalidFrameError) as refused:
        await aio_pika.connect(url)
    # As a number of its own: the text names objects by their addresses.
    assert not re.search(r"\b530\b", str(refused.value))


@asynccontextmanager
async def _cut_off(url: str) -> AsyncIterator[tuple[URL, asyncio.Event, asyncio.Event]]:
    """An address that leads to the broker; two events end the answers, and the connections."""
    broker, mute, cut = URL(url), asyncio.Event(), asyncio.Event()

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            if not mute.is_set():
                writer.write(data)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(broker.host, broker.port)
        ways = [
            asyncio.create_task(pass_on(reader, back)),
            asyncio.create_task(pass_on(there, writer)),
        ]
        await cut.wait()
        for way in ways:
            way.cancel()
        writer.close()
        back.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield broker.with_host("127.0.0.1").with_port(port), mute, cut
        cut.set()


async def test_aio_pika_still_calls_a_lost_connection_not_closed(rabbitmq: RabbitMQServer) -> None:
    async with _cut_off(rabbitmq.url) as (url, _, cut):
        connection = await aio_pika.connect(url)
        lost = asyncio.Event()
        connection.close_callbacks.add(lambda *_: lost.set())
        cut.set()
        await asyncio.wait_for(lost.wait(), 10)
        assert not connection.is_closed
        await connection.close()


async def test_aio_pika_still_ends_what_waits_on_a_closed_connection_without_a_reason(
    rabbitmq: RabbitMQServer,
) -> None:
    async with _cut_off(rabbitmq.url) as (url, mute, _):
        connection = await aio_pika.connect(url)
        channel = await connection.channel()
        mute.set()
        waiting = asyncio.create_task(channel.declare_queue(exclusive=True), name="waits")
        await asyncio.sleep(0)
        closing = asyncio.create_task(connection.close(), name="closes")
        await asyncio.wait([waiting], timeout=10)
        assert waiting.cancelled() or type(waiting.exception()) is Exception
        closing.cancel()
        await asyncio.wait([closing])


async def test_aiormq_still_ends_a_stream_without_a_frame_as_an_iteration() -> None:
    stream = asyncio.StreamReader()
    stream.feed_eof()
    with pytest.raises(StopAsyncIteration):
        await FrameReceiver(stream).get_frame()


async def test_aio_pika_still_tells_nobody_of_a_consumer_that_the_broker_cancelled(
    rabbitmq: RabbitMQServer, namespace: str
) -> None:
    async with await aio_pika.connect(rabbitmq.url) as connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(f"{namespace}.gone")
        noticed, below = asyncio.Event(), asyncio.Event()

        async def on_message(_: object) -> None:
            noticed.set()

        await queue.consume(on_message)
        channel.close_callbacks.add(lambda *_: noticed.set())
        underlay = await channel.get_underlay_channel()
        underlay.on_consumer_cancel_callbacks.add(lambda *_: below.set())
        await asyncio.to_thread(foreign_client.delete_queue, rabbitmq.url, queue.name)
        await asyncio.wait_for(below.wait(), 10)
        assert not noticed.is_set()


async def test_aio_pika_still_confuses_returned_messages_of_one_id(
    rabbitmq: RabbitMQServer,
) -> None:
    async with await aio_pika.connect(rabbitmq.url) as connection:
        channel = await connection.channel(on_return_raises=True)
        nowhere = channel.default_exchange
        sent = [
            nowhere.publish(aio_pika.Message(b"", message_id="same"), "nowhere") for _ in range(2)
        ]
        ended = await asyncio.gather(*sent, return_exceptions=True)
        assert sum(isinstance(each, PublishError) for each in ended) < len(sent)


def test_each_workaround_names_its_place_upstream_its_version_and_a_test_of_this_file() -> None:
    workarounds = re.split(r"^\d\. ", aio_pika_patches.__doc__ or "", flags=re.MULTILINE)[1:]
    assert len(workarounds) == 7
    for text in workarounds:
        tests = re.findall(r"``(test_\w+)``", text)
        assert tests
        assert all(callable(globals().get(name)) for name in tests), text
        assert re.search(r"(aio-pika|aiormq|pamqp) \d+\.\d+\.\d+", text), text
        assert "https://github.com/" in text


def test_links_to_code_upstream_show_the_installed_version_at_the_line_of_the_function() -> None:
    links = re.findall(
        r"``\w+\.(\w+)``\s+in\s+https://github\.com/[\w-]+/([\w-]+)/blob/([^/]+)/(\S+?)#L(\d+)",
        aio_pika_patches.__doc__ or "",
    )
    assert len(links) == (aio_pika_patches.__doc__ or "").count("/blob/") == 6
    for function, distribution, tag, path, line in links:
        assert tag == version(distribution), f"look again at {function} in {path}"
        installed = Path(str(files(path.partition("/")[0]))).parent / path
        shown = installed.read_text().splitlines()[int(line) - 1]
        assert f"def {function}(" in shown, f"{path}, line {line}: {shown}"
