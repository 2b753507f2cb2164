"""Live streams over a real server."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator

import pytest
from aiohttp import ClientSession

from jobfleet_contracts.backend import Backend
from jobfleet_contracts.errors import SettingsError
from jobfleet_contracts.job_id import new_id
from jobfleet_dashboard.server import serve
from tests.dashboard.api.asgi_client import AsgiClient
from tests.dashboard.api.life import Life
from tests.dashboard.api.running import EventSource, Running, running, take
from tests.dashboard.api.test_jobs import submit
from tests.polling import eventually


@pytest.fixture
async def session() -> AsyncIterator[ClientSession]:
    """A browser."""
    async with ClientSession() as opened:
        yield opened


@pytest.fixture
async def server(client: AsgiClient) -> AsyncIterator[Running]:
    """The client's dashboard behind a server."""
    async with running(client.app) as found:
        yield found


async def test_a_job_s_stream_tells_its_history_and_goes_on(
    client: AsgiClient, life: Life, server: Running, session: ClientSession
) -> None:
    job_id = await submit(client)
    url = f"{server.address}/api/jobs/{job_id}/events/stream"
    async with EventSource(session, url).open() as messages:
        (first,) = await take(messages, 1)
        await life.start(job_id)
        await life.complete(job_id)
        rest = await take(messages, 2)
    assert [first.id, *(message.id for message in rest)] == ["1", "2", "3"]
    assert [message.event["status"] for message in rest] == ["Started", "Completed"]


async def test_a_job_s_stream_resumes_exactly(
    client: AsgiClient, life: Life, server: Running, session: ClientSession
) -> None:
    job_id = await submit(client)
    await life.start(job_id)
    await life.steps(job_id, 700)
    url = f"{server.address}/api/jobs/{job_id}/events/stream"
    async with EventSource(session, url, last_id="100").open() as messages:
        taken = await take(messages, 602)
    assert [int(message.id) for message in taken] == list(range(101, 703))


async def test_an_unknown_job_has_no_stream(server: Running, session: ClientSession) -> None:
    async with session.get(f"{server.address}/api/jobs/{new_id()}/events/stream") as answer:
        assert answer.status == 404


async def test_the_fleet_s_stream_begins_with_the_very_first_events(
    client: AsgiClient, server: Running, session: ClientSession
) -> None:
    url = f"{server.address}/api/events/stream"
    async with EventSource(session, url).open() as messages:
        await _listening(client)
        ids = [await submit(client) for _ in range(5)]
        taken = await take(messages, 5)
    assert [message.event["jobId"] for message in taken] == ids


async def test_the_fleet_s_stream_resumes_without_loss(
    client: AsgiClient, server: Running, session: ClientSession
) -> None:
    url = f"{server.address}/api/events/stream"
    async with EventSource(session, url).open() as messages:
        await _listening(client)
        seen = {await submit(client) for _ in range(2)}
        last = (await take(messages, 2))[-1].id
    missed = {await submit(client) for _ in range(3)}
    async with EventSource(session, url, last_id=last).open() as messages:
        taken = await take(messages, 5)
    assert {message.event["jobId"] for message in taken} == seen | missed
    assert len({message.event["eventId"] for message in taken}) == 5


async def test_a_cursor_that_is_nonsense_reads_the_last_minute(
    client: AsgiClient, server: Running, session: ClientSession
) -> None:
    job_id = await submit(client)
    url = f"{server.address}/api/events/stream"
    async with EventSource(session, url, last_id="nonsense").open() as messages:
        (message,) = await take(messages, 1)
    assert message.event["jobId"] == job_id


async def test_a_cursor_with_a_line_break_puts_no_line_into_the_stream(
    client: AsgiClient, server: Running, session: ClientSession
) -> None:
    await submit(client)
    async with session.get(f"{server.address}/api/events/stream?cursor=x%0Adata:evil") as answer:
        text = b"".join([await answer.content.readline() for _ in range(5)])
    assert b"id: \r\ndata: {" in text


async def test_many_listeners_share_one_tail_and_nobody_polls_without_them(
    client: AsgiClient, server: Running, session: ClientSession, backend: Backend
) -> None:
    url = f"{server.address}/api/events/stream"
    sources = [EventSource(session, url).open() for _ in range(20)]
    streams = [await source.__aenter__() for source in sources]
    await _listening(client, count=20)
    await submit(client)
    for messages in streams:
        await take(messages, 1)
    tails = [task for task in asyncio.all_tasks() if task.get_name() == "live-tail"]
    assert len(tails) == 1
    for source in sources:
        await source.__aexit__(None, None, None)
    async with asyncio.timeout(60):
        await asyncio.wait(tails)


async def test_shutdown_does_not_wait_for_streams_and_waiting_requests(
    client: AsgiClient, session: ClientSession
) -> None:
    job_id = await submit(client)
    async with running(client.app) as server:
        url = f"{server.address}/api/events/stream"
        waiting = asyncio.create_task(session.get(f"{server.address}/api/jobs/{job_id}?wait=30"))
        async with EventSource(session, url).open() as messages:
            await _listening(client, count=2)
            began = time.monotonic()
            server.stop.set()
            await server.task
            assert [message async for message in messages] == []
        answer = await waiting
        assert answer.status == 200
        assert time.monotonic() - began < 3


async def test_a_port_in_use_is_named(client: AsgiClient) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError, match=f"127.0.0.1:{port}.*in use"):
            await serve(client.app, "127.0.0.1", port)


async def _listening(client: AsgiClient, count: int = 1) -> None:
    hub = client.app.state.services.live

    async def ready() -> bool:
        return len(hub._listeners) >= count and hub._looked.is_set()

    await eventually(f"{count} listeners who know where they begin", ready)
