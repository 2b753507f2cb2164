"""A page that many watch is read, rendered and encoded once for all of them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from aiohttp import ClientSession, StreamReader

from jobfleet_contracts.backend import Backend
from tests.dashboard.api.asgi_client import AsgiClient
from tests.dashboard.api.life import Life
from tests.dashboard.api.running import Running, running

VIEWERS = 20


@pytest.fixture
def rendered(client: AsgiClient) -> Counter[tuple[str, str]]:
    """How often each fragment was rendered."""
    pages, counted = client.app.state.site.pages, Counter[tuple[str, str]]()
    real = pages.fragment

    def fragment(template: str, block: str, **context: object) -> str:
        counted[template, block] += 1
        return str(real(template, block, **context))

    pages.fragment = fragment
    return counted


@pytest.fixture
async def server(client: AsgiClient) -> AsyncIterator[Running]:
    """The client's dashboard behind a server."""
    async with running(client.app) as found:
        yield found


async def _watch(stack: AsyncExitStack, url: str) -> list[StreamReader]:
    """Open the stream of a page for each viewer; return when all were brought up to date."""
    session = await stack.enter_async_context(ClientSession())
    answers = [await stack.enter_async_context(session.get(url)) for _ in range(VIEWERS)]
    readers = [answer.content for answer in answers]
    for reader in readers:
        await _next(reader)
    return readers


async def _next(reader: StreamReader) -> str:
    """Return the next message."""
    async with asyncio.timeout(60):
        return (await reader.readuntil(b"\r\n\r\n")).decode()


async def _until(reader: StreamReader, text: str) -> None:
    while text not in await _next(reader):
        pass


@pytest.mark.parametrize(
    ("path", "fragment"),
    [
        ("/stream/overview", ("overview/index.html", "counts")),
        ("/stream/jobs", ("jobs/_live.html", "changes")),
        ("/stream/jobs/{job}", ("job/show.html", "head")),
    ],
)
async def test_what_many_watch_is_rendered_once(
    client: AsgiClient,
    life: Life,
    server: Running,
    rendered: Counter[tuple[str, str]],
    path: str,
    fragment: tuple[str, str],
) -> None:
    job = (await client.post("/api/jobs", {"type": "demo.steps"})).json["jobId"]
    async with AsyncExitStack() as stack:
        readers = await _watch(stack, server.address + path.format(job=job))
        rendered.clear()
        await life.start(job)
        for reader in readers:
            await _until(reader, "running")
    assert 1 <= rendered[fragment] <= 3


async def test_who_opens_a_page_is_told_what_others_were_told_just_before(
    client: AsgiClient, backend: Backend, life: Life, server: Running
) -> None:
    job = (await client.post("/api/jobs", {"type": "demo.steps"})).json["jobId"]
    async with AsyncExitStack() as stack:
        (first, *_) = await _watch(stack, f"{server.address}/stream/overview")
        event = await life.start(job)
        await _until(first, event.event_id)
        session = await stack.enter_async_context(ClientSession())
        late = await stack.enter_async_context(session.get(f"{server.address}/stream/overview"))
        assert event.event_id in await _next(late.content)
