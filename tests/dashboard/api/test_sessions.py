"""Logging in and out, at one dashboard and at its replicas."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

import pytest
from aiohttp import ClientResponse, ClientSession, ClientTimeout

from jobfleet_contracts.backend import Backend
from jobfleet_contracts.errors import BackendUnavailable
from jobfleet_dashboard.security import gate, sessions
from jobfleet_dashboard.security.api_keys import new_key
from tests.dashboard.api.asgi_client import Answer, AsgiClient
from tests.dashboard.api.conftest import client_of
from tests.dashboard.api.running import running
from tests.polling import eventually

SECRET, LINE = new_key("ada", "operator")
SHARED = "a session secret that replicas share"
FORM = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "text/html"}


def replica(backend: Backend, **changes: str) -> AsgiClient:
    return client_of(backend, api_keys=(LINE,), session_secret=SHARED, **changes)


async def log_in(client: AsgiClient, key: str = SECRET) -> Answer:
    return await client.post("/login", f"key={key}".encode(), headers=FORM)


async def cookie_of(client: AsgiClient) -> dict[str, str]:
    answer = await log_in(client)
    assert answer.status == 303
    return {"Cookie": answer.headers["set-cookie"].partition(";")[0]}


async def status(client: AsgiClient, cookie: dict[str, str]) -> int:
    return (await client.request("GET", "/api/jobs", headers=cookie)).status


async def test_a_cookie_is_worth_nothing_after_the_logout(backend: Backend) -> None:
    client = replica(backend)
    cookie, other = await cookie_of(client), await cookie_of(client)
    assert await status(client, cookie) == 200
    answer = await client.post("/logout", headers=FORM | cookie)
    assert (answer.status, "Max-Age=0" in answer.headers["set-cookie"]) == (303, True)
    assert await status(client, cookie) == 401
    assert await status(client, other) == 200


async def test_a_logout_holds_at_every_replica_and_after_a_restart(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = replica(backend), replica(backend)
    cookie = await cookie_of(one)
    assert await status(two, cookie) == 200
    await one.post("/logout", headers=FORM | cookie)
    assert await status(replica(backend), cookie) == 401
    monkeypatch.setattr(sessions, "LOOK_AGAIN_SECONDS", 0.0)
    assert await status(two, cookie) == 401


async def test_a_logout_that_the_store_does_not_take_says_so_and_can_be_repeated(
    backend: Backend,
) -> None:
    class Away:
        async def put(self, *_: object) -> None:
            raise BackendUnavailable("no answer")

        async def get(self, *_: object) -> None:
            raise BackendUnavailable("no answer")

    broken, sound = replica(replace(backend, payloads=Away())), replica(backend)  # type: ignore[arg-type]
    cookie = await cookie_of(broken)
    assert await status(broken, cookie) == 200
    assert (await broken.post("/logout", headers=FORM | cookie)).status == 503
    assert await status(broken, cookie) == 401
    assert await status(sound, cookie) == 200
    assert (await sound.post("/logout", headers=FORM | cookie)).status == 303
    assert await status(sound, cookie) == 401


@pytest.mark.parametrize("path", ["/api/events/stream", "/stream/overview", "/stream/jobs"])
async def test_a_logout_ends_the_session_s_open_streams(
    backend: Backend, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setattr(gate, "LOOK_AGAIN_SECONDS", 0.05)
    client = replica(backend)
    async with running(client.app) as server, AsyncExitStack() as stack:
        cookies = [await cookie_of(client) for _ in range(2)]
        ended, kept = [
            await stack.enter_async_context(opened(server.address + path, cookie))
            for cookie in cookies
        ]
        await client.post("/logout", headers=FORM | cookies[0])
        async with asyncio.timeout(60):
            await ended.content.read()
        assert not kept.content.at_eof()


@asynccontextmanager
async def opened(url: str, headers: dict[str, str]) -> AsyncIterator[ClientResponse]:
    """A stream that has begun."""
    session = ClientSession(headers=headers, timeout=ClientTimeout(total=None))
    async with session, session.get(url) as answer:
        assert answer.status == 200
        await answer.content.readline()
        yield answer


async def test_wrong_logins_of_others_keep_no_right_key_out(backend: Backend) -> None:
    client = replica(backend, rate_limit="5/minute")
    refused = [(await log_in(client, "wrong")).status for _ in range(8)]
    assert refused == [401] * 5 + [429] * 3
    cookie = await cookie_of(client)
    assert await status(client, cookie) == 200
    submitted = await client.post("/api/jobs", {"type": "x"}, headers={"X-API-Key": SECRET})
    assert submitted.status == 202


async def test_wrong_logins_use_up_no_submits_of_their_address(backend: Backend) -> None:
    client = client_of(backend, rate_limit="5/minute")
    for _ in range(8):
        await log_in(client, "wrong")
    assert (await client.post("/api/jobs", {"type": "x"})).status == 202


async def test_a_key_named_like_an_address_has_a_rate_of_its_own(backend: Backend) -> None:
    named = new_key("127.0.0.1", "operator")
    client = client_of(backend, api_keys=(named[1],), rate_limit="2/minute")
    sent = {"X-API-Key": named[0]}
    made = [(await client.post("/api/jobs", {"type": "x"}, headers=sent)).status for _ in range(3)]
    assert made == [202, 202, 429]
    assert (await log_in(client, "wrong")).status == 401


async def test_a_stream_whose_browser_leaves_ends_with_it(backend: Backend) -> None:
    client = replica(backend)
    cookie = await cookie_of(client)

    async def ended() -> bool:
        answer = await client.request("GET", "/api/events/stream", headers=cookie)
        return answer.status == 200

    await eventually("the stream of a browser that leaves at once ends", ended)
