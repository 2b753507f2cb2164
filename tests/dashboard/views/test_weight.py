"""What a page and its stream weigh."""

from __future__ import annotations

import gzip
import re
from collections.abc import AsyncIterator
from html import unescape

import pytest
from aiohttp import ClientSession

from jobfleet_contracts.backend import Backend
from tests.dashboard.api.asgi_client import AsgiClient
from tests.dashboard.api.life import Life
from tests.dashboard.api.running import Running, running
from tests.dashboard.api.test_jobs import submit
from tests.dashboard.api.test_sessions import SECRET, cookie_of, replica
from tests.polling import eventually

MOST_OVERVIEW = 25 * 1024
MOST_FIRST_MESSAGE = 5 * 1024
HTML = {"Accept": "text/html", "Accept-Encoding": "gzip"}
_STREAM = re.compile(r'hx-sse:connect="([^"]+)"')


@pytest.fixture
async def busy(client: AsgiClient, life: Life) -> str:
    """A fleet that has done so much that every list of the first screen is full; a running job."""
    for number in range(45):
        job_id = await submit(client, jobName=f"import of customer {number}")
        await life.start(job_id)
        await life.steps(job_id, 5)
        await (life.fail(job_id, f"no answer {number}") if number % 9 else life.complete(job_id))
    running_job = await submit(client, jobName="long import")
    await life.start(running_job)
    await life.steps(running_job, 900)
    return running_job


@pytest.fixture
async def server(client: AsgiClient) -> AsyncIterator[Running]:
    async with running(client.app) as found:
        yield found


async def look(client: AsgiClient, path: str) -> tuple[bytes, str]:
    """Return a page as it travels, and as it reads."""
    answer = await client.request("GET", path, headers=HTML)
    assert answer.headers["content-encoding"] == "gzip"
    return answer.body, gzip.decompress(answer.body).decode()


async def first_message(server: Running, address: str, **headers: str) -> str:
    async with ClientSession() as session, session.get(address, headers=headers) as answer:
        assert "content-encoding" not in answer.headers
        return (await answer.content.readuntil(b"\r\n\r\n")).decode()


def stream_of(page: str) -> str:
    found = _STREAM.search(page)
    assert found is not None
    return unescape(found[1])


async def test_the_first_screen_weighs_little(client: AsgiClient, busy: str) -> None:
    body, page = await look(client, "/")
    assert page.count('id="e-') == 200
    assert len(body) <= MOST_OVERVIEW


@pytest.mark.parametrize(
    "path",
    ["/", "/jobs", "/jobs/{job}", "/queues", "/workers", "/locks", "/schedules", "/dead-letters"],
)
async def test_the_first_message_to_an_unchanged_page_weighs_next_to_nothing(
    client: AsgiClient, busy: str, server: Running, path: str
) -> None:
    _, page = await look(client, path.format(job=busy))
    first = await first_message(server, server.address + stream_of(page))
    assert len(first) <= MOST_FIRST_MESSAGE
    assert "e-01" not in first


async def test_the_first_message_brings_what_changed_since_the_page(
    client: AsgiClient, busy: str, life: Life, server: Running
) -> None:
    _, page = await look(client, "/")
    ended = await life.complete(busy)
    first = await first_message(server, server.address + stream_of(page))
    assert first.count('id="e-') == 1
    assert f"e-{ended.event_id}" in first


async def test_a_browser_that_comes_again_is_sent_what_it_missed_since_its_last_message(
    client: AsgiClient, backend: Backend, life: Life, server: Running
) -> None:
    job_id = await submit(client)
    _, page = await look(client, "/")
    address = server.address + stream_of(page)
    seen = await life.start(job_id)
    first = await first_message(server, address)
    assert f"e-{seen.event_id}" in first
    shows = first.partition("id: ")[2].partition("\r\n")[0]
    again = await first_message(server, address, **{"Last-Event-ID": shows})
    assert f"e-{seen.event_id}" not in again
    # A part that has changed back since the page was rendered is sent: the browser shows another.
    await life.complete(job_id)

    async def sent() -> bool:  # the counts are kept for a moment
        text = await first_message(server, address, **{"Last-Event-ID": shows})
        return 'hx-target="#counts"' in text

    await eventually("the new counts", sent, every=0.2)


@pytest.mark.parametrize("shows", ["~", "nonsense", "counts:zz~", "a" * 5_000, "counts:0~-1"])
async def test_a_state_that_makes_no_sense_counts_as_none(
    client: AsgiClient, server: Running, shows: str
) -> None:
    await submit(client)
    address = f"{server.address}/stream/overview"
    first = await first_message(server, address, **{"Last-Event-ID": shows})
    assert 'hx-target="#counts"' in first
    assert first.count('id="e-') == 1


@pytest.mark.parametrize(
    "path", ["/static/app.js", "/static/swagger-ui/swagger-ui-bundle.js", "/api/jobs"]
)
async def test_files_and_answers_are_compressed(server: Running, busy: str, path: str) -> None:
    async with ClientSession(auto_decompress=False) as session:
        address = server.address + path
        async with session.get(address, headers={"Accept-Encoding": "gzip"}) as answer:
            assert answer.headers["Content-Encoding"] == "gzip"
            assert "Accept-Encoding" in answer.headers["Vary"]
            packed = await answer.read()
        async with session.get(address, headers={"Accept-Encoding": "identity"}) as answer:
            assert "Content-Encoding" not in answer.headers
            assert gzip.decompress(packed) == await answer.read()


async def test_no_answer_holds_a_secret_of_the_reader(backend: Backend) -> None:
    """Who adds text to a page and sees its size learns what else stands in it (BREACH)."""
    client = replica(backend)
    cookie = await cookie_of(client)
    for path in ("/", "/jobs?q=guess", "/submit", "/login", "/api/jobs?name=guess"):
        answer = await client.request("GET", path, headers=HTML | cookie)
        packed = answer.headers.get("content-encoding") == "gzip"
        body = gzip.decompress(answer.body) if packed else answer.body
        assert answer.status == 200
        assert SECRET.encode() not in body
        assert cookie["Cookie"].partition("=")[2].encode() not in body
