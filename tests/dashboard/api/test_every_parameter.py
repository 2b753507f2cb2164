"""Every parameter of every route, API and pages, takes any text: no 500, no wrong cursor."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from fastapi.routing import APIRoute
from starlette.datastructures import QueryParams

from jobfleet_backends.open_backend import open_backend
from jobfleet_backends.settings import Settings
from jobfleet_contracts.backend import Backend
from jobfleet_contracts.message import MalformedMessage
from tests.conformance.conftest import settings  # noqa: F401 - the fixture over all backends
from tests.dashboard.api.all_routes import addressed, all_routes
from tests.dashboard.api.asgi_client import AsgiClient
from tests.dashboard.api.conftest import client_of

ID = "01890000-0000-7000-8000-000000000000"
HUGE = "9223372036854775808"
TIME = "2026-01-31T09:30:00.000000Z"
FOREIGN_CURSORS = (
    "~",
    "~0",
    "~²",
    f"2026~{HUGE}",
    f"{TIME}~{HUGE}",
    f"{TIME}~٣",
    f"{TIME}~-1",
    f"{TIME}~1\n",
    f"queued~{ID}~²",
    "²",
    "٣",
    HUGE,
    "9" * 1900,
    "-1",
    "1_0",
    "a²",
    f"a{HUGE}",
    "b-1",
    "0.²",
    f"0.{HUGE}",
    f"m:{HUGE}",
    "m:²",
    "m:000000000000000' or 1 eq 1",
    "j:~²",
    f"j:{TIME}~{HUGE}",
    "x:",
    "t-",
    "t-²²²²²²²²²²²²²²²²",
    "t--000000000000001",
    "t-0000000000000001-x' or 'a' eq 'a",
    f"o~{TIME}~x",
    "0~o-' or 'a' eq 'a",
    f"{HUGE}~o-{ID}-00001",
    "00000000.1.99999999999999999",
    "00000000.²..",
    "\x00",
    "a\r\nb",
    "💣",
)
OTHERS = (
    "",
    " ",
    "0",
    "1e400",
    "nan",
    "null",
    "%",
    "'",
    "../..",
    "2026-01-31T09:30:00Z",
    "0001-01-01T00:00:00Z",
    "0001-01-01T00:00:00+23:59",
    "9999-12-31T23:59:59-23:59",
    "24:00",
    "completed,²",
    "Step ²",
    ID,
    ID.upper(),
    "{" + ID + "}",
    "cancel.²",
    f"cancel.{'9' * 5000}",
    "x" * 2001,
)
PAGE_PARAMETERS = (
    *("back", "before", "cursor", "done", "from", "limit", "lock", "name", "next", "q"),
    *("queue", "since", "state", "status", "type", "until", "wait", "window"),
)
ONE_BACKEND = pytest.mark.parametrize(
    "settings",
    [
        "embedded",
        pytest.param("azure", marks=[pytest.mark.servers, pytest.mark.full]),
        pytest.param("postgres", marks=[pytest.mark.servers, pytest.mark.full]),
    ],
    indirect=True,
)
"""For what is checked before a backend is asked, and for pages, which read as the API does."""
HEADERS = (
    *("accept", "authorization", "content-length", "content-type", "cookie", "host"),
    *("idempotency-key", "if-none-match", "last-event-id", "origin", "prefer"),
    *("sec-fetch-site", "traceparent", "x-api-key", "x-request-id"),
)


@pytest.fixture
async def backend(settings: Settings) -> AsyncIterator[Backend]:  # noqa: F811
    """Each backend."""
    opened = await open_backend(settings)
    yield opened
    await opened.close()


@pytest.fixture
async def stocked(backend: Backend) -> AsgiClient:
    """A dashboard with some of everything that lists show."""
    client, now = client_of(backend), datetime.now(UTC)
    for number in range(3):
        await client.post("/api/jobs", {"jobId": f"{ID[:-1]}{number}", "type": "x"})
        await backend.dead_letters.add(MalformedMessage(body=b"{", reason="no job"), now)
    for minute in range(5):
        daily = {"type": "x", "cron": f"{minute} 3 * * *"}
        await client.request("PUT", "/api/schedules/nightly", body=daily)
    for number in range(2):
        await client.post(f"/api/jobs/{ID[:-1]}{number}/cancel")
    return client


class ReadNames:
    """Notes which query parameters are read: a page never looks at the others.

    A page that reads all of them at once may use any.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.names: set[str] = set()
        for method in ("get", "__getitem__", "__contains__", "getlist"):
            self._note(monkeypatch, method, lambda name: [name])
        for method in ("multi_items", "items", "keys", "__iter__"):
            self._note(monkeypatch, method, lambda: PAGE_PARAMETERS)

    def _note(
        self, monkeypatch: pytest.MonkeyPatch, method: str, noted: Callable[..., Iterable[str]]
    ) -> None:
        read = getattr(QueryParams, method)

        def reads(params: QueryParams, *names: Any, **options: Any) -> Any:
            self.names.update(noted(*names[:1]))
            return read(params, *names, **options)

        monkeypatch.setattr(QueryParams, method, reads)


async def _queries(client: AsgiClient, route: APIRoute, read: ReadNames) -> Sequence[str]:
    """Return the names of the route's query parameters; pages read theirs from the request."""
    if route.include_in_schema:
        return _declared(route)
    read.names.clear()
    for query in ({}, dict.fromkeys(PAGE_PARAMETERS, "1")):
        await client.request("GET", addressed(route, ID), query=query)
    return sorted(read.names)


def _declared(route: APIRoute) -> Sequence[str]:
    names = {field.alias for field in route.dependant.query_params}
    models = (field.field_info.annotation for field in route.dependant.query_params)
    for model in models:
        names |= set(getattr(model, "model_fields", ()))
    return sorted(names)


async def _asked(
    client: AsgiClient, monkeypatch: pytest.MonkeyPatch, *, of_the_api: bool
) -> set[tuple[str, str]]:
    with monkeypatch.context() as patched:
        read = ReadNames(patched)
        return {
            (addressed(route, ID), name)
            for route in all_routes(client.app)
            if "GET" in (route.methods or ()) and route.include_in_schema is of_the_api
            for name in await _queries(client, route, read)
        }


async def test_no_query_parameter_of_any_route_of_the_api_is_a_500(
    stocked: AsgiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = await _asked(stocked, monkeypatch, of_the_api=True)
    assert ("/api/dead-letters", "cursor") in asked
    await _none_is_a_500(stocked, asked)


@ONE_BACKEND
async def test_no_query_parameter_of_any_page_is_a_500(
    stocked: AsgiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = await _asked(stocked, monkeypatch, of_the_api=False)
    assert ("/dead-letters", "cursor") in asked
    assert {("/jobs", name) for name in PAGE_PARAMETERS} <= asked
    await _none_is_a_500(stocked, asked)


async def _none_is_a_500(stocked: AsgiClient, asked: set[tuple[str, str]]) -> None:
    for address, name in sorted(asked):
        values = FOREIGN_CURSORS + OTHERS if name in ("cursor", "q", "before") else OTHERS
        for value in values:
            answer = await stocked.request("GET", address, query={name: value})
            assert answer.status < 500, (address, name, value, answer.body[:300])


async def test_a_foreign_cursor_is_400_in_every_list(stocked: AsgiClient) -> None:
    routes = [each for each in all_routes(stocked.app) if "GET" in (each.methods or ())]
    known = {addressed(each, ID) for each in routes if "cursor" in _declared(each)}
    lists = sorted(one for one in known if one.startswith("/api/") and "stream" not in one)
    assert len(lists) == 11
    lists += ["/api/jobs?view=jobs"]
    for address in lists:
        path, _, view = address.partition("?view=")
        for value in FOREIGN_CURSORS:
            query = {"cursor": value} | ({"view": view} if view else {})
            answer = await stocked.request("GET", path, query=query)
            fits = answer.status in (200, 404) and value.isascii() and len(value) < 40
            assert answer.status == 400 or fits, (address, value, answer.body[:300])
            assert fits or answer.json["field"] == "cursor", (address, value)


async def test_the_cursor_of_one_list_never_breaks_another(stocked: AsgiClient) -> None:
    given: set[str] = set()
    paths = (
        *("/api/jobs", "/api/dead-letters", f"/api/jobs/{ID}/events", f"/api/jobs/{ID}/logs"),
        "/api/schedules/nightly/history",
    )
    asked: list[tuple[str, dict[str, str]]] = [(path, {}) for path in paths] + [
        ("/api/jobs", {"view": "jobs"}),
        ("/api/jobs", {"view": "jobs", "state": "queued,scheduled"}),
    ]
    for path, query in asked:
        following = None
        for _ in range(8):
            page = {"limit": 1} | query | ({"cursor": following} if following else {})
            answer = await stocked.request("GET", path, query=page)
            assert answer.status == 200, (path, page, answer.body)
            following = answer.json["next"]
            given |= {following} if following else set()
    assert len(given) > 5
    for cursor in sorted(given):
        changed = {cursor, cursor[:-1], cursor + "0", cursor + "~0", cursor.upper(), f" {cursor}"}
        for path, query in asked:
            for foreign in changed:
                answer = await stocked.request("GET", path, query=query | {"cursor": foreign})
                assert answer.status in (200, 400), (path, query, foreign, answer.body[:300])


async def test_no_path_of_any_route_is_a_500(stocked: AsgiClient) -> None:
    for route in all_routes(stocked.app):
        for value in ("²", HUGE, "\x00", "%00", "..", "💣", "x" * 3000, ID.upper(), "{" + ID + "}"):
            address = addressed(route, value).replace("{letter_id}", value)
            for method in sorted((route.methods or set()) - {"HEAD"}):
                answer = await stocked.request(method, address)
                assert answer.status < 500, (method, address, answer.body[:300])


@ONE_BACKEND
async def test_no_header_of_any_route_is_a_500(stocked: AsgiClient) -> None:
    for name in HEADERS:
        for value in ("", "²", "\xff\x00", HUGE, "9" * 5000, "x" * 3000, "a=b; c", 'W/"', ",,"):
            for method, address in (
                ("GET", "/api/jobs"),
                ("GET", f"/api/jobs/{ID}"),
                ("GET", "/api/events/stream"),
                ("GET", f"/api/jobs/{ID}/events/stream"),
                ("GET", "/jobs"),
                ("POST", "/api/jobs"),
                ("POST", "/login"),
                ("POST", f"/api/callbacks/jobs/{ID}"),
            ):
                sent = await stocked.request(method, address, headers={name: value})
                assert sent.status < 500, (method, address, name, value, sent.body[:300])


@pytest.mark.parametrize("since", ["0001-01-01T00:00:00Z", "1969-12-31T23:59:59Z"])
async def test_a_time_long_ago_finds_everything(stocked: AsgiClient, since: str) -> None:
    found = await stocked.get("/api/jobs", since=since)
    assert len(found.json["items"]) == 5
    assert (await stocked.get("/api/jobs", until=since)).json["items"] == []
