"""What the pages answer, without a browser."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from jobfleet_backends.system_clock import SystemClock
from jobfleet_contracts.backend import Backend
from jobfleet_contracts.errors import BackendUnavailable
from jobfleet_protocol.control.type_keys import TypeKeys
from tests.dashboard.api.asgi_client import AsgiClient
from tests.dashboard.api.conftest import client_of

HTML = {"Accept": "text/html"}
FORM = HTML | {"content-type": "application/x-www-form-urlencoded"}
JOB = "018f0000-0000-7000-8000-000000000001"
PARTIAL = HTML | {"HX-Request": "true", "HX-Request-Type": "partial"}


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


async def test_what_was_asked_while_the_backend_was_away_is_not_asked_again_unseen(
    backend: Backend,
) -> None:
    away: Any = Away()
    client = client_of(replace(backend, trail=away))
    for referer, page in (
        ("http://localhost/jobs?state=failed", "/jobs?state=failed"),
        ("http://localhost//evil.example", "/evil.example"),
        ("http://evil.example/jobs", "/"),
        ("", "/"),
    ):
        answer = await client.post(f"/jobs/{JOB}/cancel", b"", FORM | {"referer": referer})
        assert answer.status == 503
        assert b"data-recover" not in answer.body
        assert f'href="{page}">Look</a>'.encode() in answer.body


async def test_a_page_is_not_called_live_while_the_backend_is_away(backend: Backend) -> None:
    away: Any = Away()
    client = client_of(replace(backend, directory=away, locks=away))
    for page in ("overview", "workers", "locks"):
        stream = await client.request("GET", f"/stream/{page}", headers=PARTIAL)
        assert stream.status == 503, page


async def test_a_form_that_is_sent_twice_is_one_job(client: AsgiClient) -> None:
    form = await look(client, "/submit")
    (own,) = re.findall(r'name="jobId" value="([^"]+)"', form)
    body = {"jobId": own, "type": "a", "payload": "{}"}
    sent = [await client.post("/submit", urlencode(body).encode(), FORM) for _ in range(2)]
    assert [answer.headers["location"] for answer in sent] == [f"/jobs/{own}"] * 2
    other = await client.post("/submit", urlencode(body | {"type": "b"}).encode(), FORM)
    assert (other.status, own.encode() in other.body) == (409, True)
    assert f'value="{own}"'.encode() not in other.body


async def test_no_page_holds_inline_scripts_styles_or_handlers(client: AsgiClient) -> None:
    for path in (
        "/",
        "/jobs",
        "/events",
        "/types",
        "/schedules",
        "/workers",
        "/locks",
        "/dead-letters",
        "/errors",
        "/actions",
        "/actions/jobs",
        "/submit",
        "/login",
    ):
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


async def test_a_list_that_finds_nothing_leads_to_the_values_in_payloads(
    client: AsgiClient, backend: Backend
) -> None:
    keys = TypeKeys(log=backend.control_log, clock=SystemClock())
    assert "found by their key" not in await look(client, "/jobs?q=customer-10")
    await keys.announce("crm.sync", ["customer"])
    page = await look(client, "/jobs?q=customer-10&queue=mail")
    assert "queue=mail" in page
    assert ">payload.customer:customer-10</a>" in page
