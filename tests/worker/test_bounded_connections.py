"""Connections to the worker's port that ask nothing, or take nothing of their answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from jobfleet_worker.metrics import bounded_connections
from jobfleet_worker.metrics.health_server import HealthServer
from tests.polling import eventually
from tests.raw_connection import Streams, connected, rest_of
from tests.worker.test_health_server import Parts, get, serving

GET = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n"


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time-outs that a test can wait for."""
    monkeypatch.setattr(bounded_connections, "REQUEST_SECONDS", 0.3)
    monkeypatch.setattr(bounded_connections, "CONNECTION_SECONDS", 0.6)


@pytest.fixture
async def server() -> AsyncIterator[HealthServer]:
    async with serving(Parts()) as made:
        yield made


@pytest.mark.parametrize(
    "sent", [b"", b"GET", GET, GET + b"\r\n" + GET, GET + b"Content-Length: 9\r\n\r\nkey="]
)
async def test_a_request_that_does_not_come_ends_its_connection(soon: None, sent: bytes) -> None:
    async with serving(Parts()) as server, connected(server.port) as (reader, writer):
        writer.write(sent)
        await rest_of(reader)


async def test_headers_that_come_byte_by_byte_get_no_more_time(soon: None) -> None:
    async with serving(Parts()) as server, connected(server.port) as (reader, writer):
        writer.write(GET + b"X: ")
        answer = asyncio.create_task(rest_of(reader))
        while not answer.done():
            writer.write(b"x")
            await asyncio.wait([answer], timeout=0.05)
        assert answer.result() == b""


class LongPage(Parts):
    """More than the sockets of both sides take in."""

    async def metrics(self, *, named: bool) -> bytes:
        return b"#" * 50_000_000


async def test_a_client_that_takes_nothing_of_its_answer_is_dropped(soon: None) -> None:
    async with serving(LongPage()) as server, connected(server.port) as (reader, writer):
        reader._transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")

        async def dropped() -> bool:
            try:
                writer.write(b"\r\n")
                await asyncio.wait_for(writer.drain(), 1)
            except (ConnectionError, TimeoutError):
                pass
            return writer.transport.is_closing()

        await eventually("the connection is closed", dropped)


@pytest.mark.parametrize(("path", "status"), [("livez", b" 200 "), ("nothing", b" 404 ")])
async def test_a_connection_gets_one_answer(server: HealthServer, path: str, status: bytes) -> None:
    async with connected(server.port) as (reader, writer):
        writer.write(f"GET /{path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode() * 3)
        answer = await rest_of(reader)
        assert (answer.count(b"HTTP/1.1"), answer.count(status)) == (1, 1)
        assert b"connection: close" in answer.lower()


async def test_half_requests_take_no_more_than_their_share_and_the_port_still_answers(
    server: HealthServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounded_connections, "MAX_CONNECTIONS", 20)
    async with AsyncExitStack() as stack:
        other = await stack.enter_async_context(connected(server.port, own="127.0.0.2"))
        held: list[Streams] = []
        for number in range(60):
            held.append(await stack.enter_async_context(connected(server.port)))
            held[-1][1].write(GET if number % 2 else b"")
        for reader, _ in held[:41]:
            await rest_of(reader)
        assert not any(reader.at_eof() for reader, _ in held[41:])
        assert (await get(server, "/livez"))[0] == 200
        for reader, writer in (held[-1], other):
            writer.write(GET + b"\r\n" if writer is other[1] else b"\r\n")
            assert (await rest_of(reader)).startswith(b"HTTP/1.1 200 ")


async def test_what_a_dropped_connection_asked_is_not_asked_any_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bounded_connections, "MAX_CONNECTIONS", 5)
    waiting = 0

    class Hanging(Parts):
        async def probe(self):  # type: ignore[no-untyped-def]
            nonlocal waiting
            waiting += 1
            try:
                await asyncio.Event().wait()
            finally:
                waiting -= 1

    async with serving(Hanging()) as server, AsyncExitStack() as stack:
        for _ in range(30):
            _, writer = await stack.enter_async_context(connected(server.port))
            writer.write(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n")

        async def bounded() -> bool:
            return 0 < waiting <= 5

        await eventually("only open connections are served", bounded)
