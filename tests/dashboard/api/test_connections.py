"""Connections that a client holds without asking, and requests that can be read in two ways."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from urllib.parse import urlsplit

import h11
import pytest

from jobfleet_dashboard import http_protocol
from jobfleet_dashboard.strict_connection import FREE_CHUNKS, STEP_EVENTS, StrictConnection
from tests.dashboard.api.asgi_client import AsgiClient
from tests.dashboard.api.running import Running, running
from tests.polling import eventually
from tests.raw_connection import Streams, connected, rest_of

HEAD = b"POST /login HTTP/1.1\r\nHost: localhost\r\n"
GET = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n"


@pytest.fixture
async def server(client: AsgiClient) -> AsyncIterator[Running]:
    """The client's dashboard behind a server."""
    async with running(client.app) as found:
        yield found


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time-outs that a test can wait for."""
    monkeypatch.setattr(http_protocol, "HEADER_SECONDS", 0.3)
    monkeypatch.setattr(http_protocol, "STALL_SECONDS", 0.3)


def port_of(server: Running) -> int:
    port = urlsplit(server.address).port
    assert port is not None
    return port


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET",
        GET,
        b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n" + GET,
        HEAD + b"Content-Length: 100\r\n\r\nkey=",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nkey=",
    ],
)
@pytest.mark.usefixtures("soon")
async def test_a_request_that_does_not_come_ends_its_connection(
    server: Running, sent: bytes
) -> None:
    async with connected(port_of(server)) as (reader, writer):
        writer.write(sent)
        await rest_of(reader)


@pytest.mark.usefixtures("soon")
async def test_headers_that_come_byte_by_byte_get_no_more_time(server: Running) -> None:
    async with connected(port_of(server)) as (reader, writer):
        answer = asyncio.create_task(rest_of(reader))
        while not answer.done():
            writer.write(b"x")
            await asyncio.wait([answer], timeout=0.05)
        assert b" 408 " in answer.result() or b" 400 " in answer.result() or not answer.result()


@pytest.mark.usefixtures("soon")
async def test_a_client_that_takes_nothing_of_its_answer_is_dropped(server: Running) -> None:
    path = "/static/swagger-ui/swagger-ui-bundle.js"
    async with connected(port_of(server)) as (reader, writer):
        reader._transport.pause_reading()  # type: ignore[attr-defined]
        for _ in range(20):
            writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())

        async def dropped() -> bool:
            try:
                writer.write(b"\r\n")
                await asyncio.wait_for(writer.drain(), 1)
            except (ConnectionError, TimeoutError):
                pass
            return writer.transport.is_closing()

        await eventually("the connection is closed", dropped)


async def test_a_body_that_comes_slowly_is_waited_for(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_protocol, "HEADER_SECONDS", 0.3)
    async with connected(port_of(server)) as (reader, writer):
        writer.write(HEAD + b"Connection: close\r\nContent-Length: 10\r\n\r\n")
        for byte in b"key=abcdef":
            writer.write(bytes([byte]))
            await asyncio.sleep(0.05)
        assert (await rest_of(reader)).startswith(b"HTTP/1.1 401 ")


async def test_one_address_cannot_hold_more_than_its_share_of_connections(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_protocol, "MAX_UNFINISHED", 20)
    async with AsyncExitStack() as stack:
        held: list[Streams] = []
        for number in range(60):
            held.append(await stack.enter_async_context(connected(port_of(server))))
            held[-1][1].write(GET if number % 2 else HEAD + b"Content-Length: 9\r\n\r\n")
        for reader, _ in held[:40]:
            await rest_of(reader)
        assert not any(reader.at_eof() for reader, _ in held[40:])
        for _, writer in held[41::2]:
            writer.write(b"Connection: close\r\n\r\n")
        for reader, _ in held[41::2]:
            assert (await rest_of(reader)).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("encoding", [b"chunked", b"Chunked", b"identity", b"gzip, chunked"])
@pytest.mark.parametrize("length", [b"0", b"3", b"5"])
async def test_a_request_with_both_framings_is_400_and_closes_its_connection(
    server: Running, encoding: bytes, length: bytes
) -> None:
    framing = [b"Content-Length: " + length, b"Transfer-Encoding: " + encoding]
    for headers in (framing, framing[::-1]):
        async with connected(port_of(server)) as (reader, writer):
            head = HEAD + b"\r\n".join(headers) + b"\r\n\r\n"
            writer.write(head + b"0\r\n\r\nGET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
            answer = await rest_of(reader)
            assert answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 501 "))
            assert answer.count(b"HTTP/1.1") == 1
            assert b"connection: close" in answer.lower()


CHUNKED = b"Host: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
BROKEN = [
    b"zz\r\n",
    b"-1\r\n",
    b"5\r\nkey=abcdef\r\n",
    b"fffffffffffffffffffff\r\n",
    b"5;" + b"x" * 20_000,
    b"0\r\nno trailer\r\n\r\n",
    b"4\r\nkey=\r\n\x00\r\n",
]


@pytest.mark.parametrize("pause", [False, True])
async def test_a_body_that_breaks_its_framing_leaves_no_traceback(
    server: Running, caplog: pytest.LogCaptureFixture, pause: bool
) -> None:
    errors: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context))
    for line in (
        b"POST /login HTTP/1.1\r\n",
        b"POST /api/jobs HTTP/1.1\r\nContent-Type: application/json\r\n",
        b"POST /nowhere HTTP/1.1\r\n",
        b"GET /api/events/stream HTTP/1.1\r\n",
        b"GET /static/swagger-ui/swagger-ui-bundle.js HTTP/1.1\r\n",
    ):
        for broken in BROKEN:
            async with connected(port_of(server)) as (reader, writer):
                writer.write(line + CHUNKED)
                if pause:  # the answer may have begun, or be complete
                    await writer.drain()
                    await asyncio.sleep(0.01)
                writer.write(broken)
                answer = await rest_of(reader)
                assert answer.startswith(b"HTTP/1.1 ") or not answer
    assert not errors
    assert not [record for record in caplog.records if record.exc_info]


@pytest.mark.parametrize(
    "head",
    [
        b"POST /login HTTP/1.1\r\nHost: localhost\r\nX: a\nContent-Length: 0\r\n\r\n",
        b"POST /login HTTP/1.1\nHost: localhost\nContent-Length: 0\n\n",
        b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\n\n",
        b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\n\r\n",
        b"POST /login HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding:\r\n chunked\r\n\r\n",
        b"POST /login HTTP/1.1\r\nHost: localhost\r\nX: a\r\n\tContent-Length: 0\r\n\r\n",
        b"POST /login HTTP/1.0\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST /login HTTP/1.2\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n",
        b"POST /login HTTP/2.0\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\n\r\n",
    ],
)
async def test_a_head_that_others_may_end_elsewhere_is_400_and_closes_its_connection(
    server: Running, head: bytes
) -> None:
    for pieces in ([head + GET + b"\r\n"], [bytes([byte]) for byte in head]):
        async with connected(port_of(server)) as (reader, writer):
            writer.write(GET + b"\r\n")  # what came before is answered
            assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
            answer = await rest_of(reader)
            assert answer.count(b"HTTP/1.1") == 1
            assert b"HTTP/1.1 400 " in answer
            assert b"content-type: application/problem+json" in answer


CALLBACK = b"POST /api/callbacks/jobs/00000000-0000-0000-0000-000000000001 HTTP/1.1\r\n"


@pytest.fixture
def read_events(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What the server reads, event by event."""
    events: list[object] = []
    read = StrictConnection.next_event

    def recorded(connection: StrictConnection) -> object:
        events.append(event := read(connection))
        return event

    monkeypatch.setattr(StrictConnection, "next_event", recorded)
    return events


@pytest.mark.parametrize("line", [b"POST /login HTTP/1.1\r\n", CALLBACK])
async def test_chunks_of_one_byte_are_read_until_their_allowance_is_used_up(
    server: Running, read_events: list[object], line: bytes
) -> None:
    async with connected(port_of(server)) as (reader, writer):
        writer.write(line + CHUNKED + b"1\r\na\r\n" * 50_000)
        assert (await rest_of(reader)).startswith(b"HTTP/1.1 400 ")
    read = [event for event in read_events if isinstance(event, h11.Data)]
    assert len(read) <= FREE_CHUNKS


async def test_others_have_their_turn_between_the_steps_of_one_body(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    turn = 0
    steps: Counter[int] = Counter()
    read = StrictConnection.next_event

    def count_turns() -> None:
        nonlocal turn
        turn += 1
        counting = asyncio.get_running_loop().call_soon(count_turns)
        stop.append(counting)
        del stop[:-1]

    def recorded(connection: StrictConnection) -> object:
        steps[turn] += isinstance(event := read(connection), h11.Data)
        return event

    monkeypatch.setattr(StrictConnection, "next_event", recorded)
    async with connected(port_of(server)) as (reader, writer):
        stop: list[asyncio.Handle] = []
        count_turns()
        writer.write(HEAD + b"Connection: close\r\n" + CHUNKED.partition(b"\r\n")[2])
        writer.write(b"1\r\na\r\n" * FREE_CHUNKS + b"0\r\n\r\n")
        assert (await rest_of(reader)).startswith(b"HTTP/1.1 401 ")
        stop[0].cancel()
    assert sum(steps.values()) == FREE_CHUNKS
    assert max(steps.values()) <= STEP_EVENTS


async def test_what_comes_after_an_early_answer_is_not_read_and_the_answer_arrives(
    server: Running, read_events: list[object]
) -> None:
    async with connected(port_of(server)) as (reader, writer):
        writer.write(b"POST /nowhere HTTP/1.1\r\n" + CHUNKED)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 404 ")
        assert b"connection: close" in head.lower()
        del read_events[:]
        for _ in range(20):
            writer.write(b"1\r\na\r\n" * 1_000)
            await writer.drain()
        writer.write(b"0\r\n\r\n" + GET + b"\r\n")
        assert b"HTTP/1.1" not in await rest_of(reader)
    assert not read_events


async def test_a_client_that_sends_on_after_its_answer_is_dropped(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_protocol, "LINGER_SECONDS", 0.3)
    async with connected(port_of(server)) as (reader, writer):
        writer.write(b"POST /nowhere HTTP/1.1\r\n" + CHUNKED)
        await rest_of(reader)

        async def dropped() -> bool:
            try:
                writer.write(b"1\r\na\r\n")
                await asyncio.wait_for(writer.drain(), 1)
            except (ConnectionError, TimeoutError):
                pass
            return writer.transport.is_closing()

        await eventually("the connection is closed", dropped)
