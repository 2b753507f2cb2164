"""What the pages answer, without a browser."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from jobfleet_backends.open_backend import open_backend
from jobfleet_backends.settings import Settings
from jobfleet_contracts.backend import Backend
from jobfleet_contracts.errors import BackendUnavailable
from tests.dashboard.api.asgi_client import AsgiClient
from tests.dashboard.api.conftest import client_of

HTML = {"Accept": "text/html"}
PARTIAL = HTML | {"HX-Request": "true", "HX-Request-Type": "partial"}


@pytest.fixture
async def backend(tmp_path: Path) -> AsyncIterator[Backend]:
    """The embedded backend in a folder of this test's own."""
    opened = await open_backend(Settings(data_dir=tmp_path, _env_file=None))
    yield opened
    await opened.close()


@pytest.fixture
def client(backend: Backend) -> AsgiClient:
    """A client of a dashboard without keys."""
    return client_of(backend)


async def look(client: AsgiClient, path: str, headers: Mapping[str, str] = HTML) -> str:
    """Return what a browser gets."""
    return (await client.request("GET", path, headers=headers)).body.decode()


class Away:
    """A port whose server does not answer."""

    def __getattr__(self, name: str) -> Any:
        async def fail(*_: Any, **__: Any) -> Any:
            raise BackendUnavailable("the index does not answer")

        return fail


async def test_one_address_answers_page_and_fragment(client: AsgiClient) -> None:
    page = await client.request("GET", "/jobs", headers=HTML)
    assert b"<html" in page.body
    assert "HX-Request-Type" in page.headers["vary"]
    fragment = await look(client, "/jobs", PARTIAL)
    assert fragment.lstrip().startswith('<div id="results">')


async def test_a_restored_history_entry_gets_the_whole_page(client: AsgiClient) -> None:
    restored = HTML | {"HX-Request": "true", "HX-Request-Type": "full"}
    assert "<html" in await look(client, "/jobs", restored)


async def test_a_backend_that_is_away_is_a_page_that_tries_again(backend: Backend) -> None:
    away: Any = Away()
    client = client_of(replace(backend, reader=away))
    answer = await client.request("GET", "/", headers=HTML)
    assert answer.status == 503
    assert b"the index does not answer" in answer.body
    assert b"data-recover" in answer.body


async def test_no_page_holds_inline_scripts_styles_or_handlers(client: AsgiClient) -> None:
    for path in ("/", "/jobs", "/workers", "/locks", "/dead-letters", "/submit", "/login"):
        text = await look(client, path)
        for forbidden in ("<style", " style=", " onclick=", "hx-on", "js:", "//cdn", "<script>"):
            assert forbidden not in text, f"{forbidden} in {path}"


async def test_a_cursor_of_another_list_is_named_instead_of_failing(client: AsgiClient) -> None:
    answer = await client.request("GET", "/jobs", headers=HTML, query={"cursor": "nonsense"})
    assert answer.status == 400
    assert b"<p>cursor" in answer.body


async def test_nobody_is_sent_to_another_site_after_the_login(client: AsgiClient) -> None:
    answer = await client.request("GET", "/login", headers=HTML, query={"next": "//evil.example"})
    assert b'name="next" value="/"' in answer.body


async def test_a_stream_without_a_session_is_refused_and_never_led_to_the_login(
    backend: Backend,
) -> None:
    client = client_of(backend, api_keys=(f"a:viewer:{'0' * 64}",))
    page = await client.request("GET", "/", headers=HTML)
    stream = await client.request("GET", "/stream/overview", headers=PARTIAL)
    assert (page.status, stream.status) == (303, 401)
