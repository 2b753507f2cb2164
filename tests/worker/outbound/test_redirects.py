"""What goes on to another place when a target redirects."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from jobfleet_worker.outbound.redirects import SENT_TO_OTHERS
from tests.worker.outbound.target_server import TargetServer, answering, client, get

JOB_HEADERS = {
    "Accept": "text/plain",
    "Accept-Language": "de",
    "Content-Type": "text/csv",
    "User-Agent": "mine",
    "Authorization": "Bearer literal",
    "Cookie": "a=b",
    "Private-Token": "glpat-1",
    "PRIVATE-TOKEN-2": "glpat-2",
    "X-Plain": "1",
    "X-Secret": "${secret:TOKEN}",
    "Referer": "https://here.example/?token=1",
}
OWN_HEADERS = {
    "Idempotency-Key": "k",
    "X-Fencing-Token": "7",
    "traceparent": "00-1-2-01",
    "webhook-signature": "v1,abc",
}
OF_THE_CONNECTION = {"host", "connection", "content-length", "accept-encoding"}
FOLLOWED = [301, 302, 303, 307, 308]


@pytest.fixture
async def other() -> AsyncIterator[TargetServer]:
    """Another origin: the same host, another port."""
    server = TargetServer()
    await server.start()
    yield server
    await server.stop()


async def follow(target: TargetServer, method: str = "POST") -> None:
    caller = client(allowed_hosts=("127.0.0.1",), secrets={"TOKEN": "s3cret-value"})
    await get(
        caller,
        target.url(),
        method=method,
        headers=JOB_HEADERS,
        own_headers=OWN_HEADERS,
        body=b"a;b",
        follow_redirects=True,
    )


@pytest.mark.parametrize("status", FOLLOWED)
async def test_another_origin_is_told_four_headers_and_no_other(
    target: TargetServer, other: TargetServer, status: int
) -> None:
    target.answer = answering(status, Location=other.url("/next"))
    await follow(target)
    headers = {name.lower() for name in other.requests[0][2]} - OF_THE_CONNECTION
    assert headers <= SENT_TO_OTHERS
    assert ("content-type" in headers) == (status in (307, 308))
    assert other.requests[0][2]["User-Agent"] == "mine"
    assert target.requests[0][2]["X-Secret"] == "s3cret-value"


async def test_no_library_in_the_worker_adds_a_header_to_a_job_s_call(
    target: TargetServer, other: TargetServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Sentry and OpenTelemetry do it: each session of the process gets their trace config."""
    usual = aiohttp.ClientSession.__init__

    async def add(_session: object, _context: object, request: Any) -> None:
        request.headers["baggage"] = "sentry-public_key=1,sentry-environment=production"

    def traced(self: aiohttp.ClientSession, **options: Any) -> None:
        config = aiohttp.TraceConfig()
        config.on_request_start.append(add)
        usual(self, **options | {"trace_configs": [config]})

    monkeypatch.setattr(aiohttp.ClientSession, "__init__", traced)
    target.answer = answering(307, Location=other.url("/next"))
    await follow(target)
    assert "baggage" not in {name.lower() for name in target.requests[0][2]}
    assert "baggage" not in {name.lower() for name in other.requests[0][2]}


async def test_the_way_back_does_not_bring_the_credentials_back(
    target: TargetServer, other: TargetServer
) -> None:
    async def once_away(request: object) -> object:
        away = answering(307, Location=other.url("/away"))
        return await (away if len(target.requests) == 1 else answering(200))(request)  # type: ignore[arg-type]

    target.answer = once_away  # type: ignore[assignment]
    other.answer = answering(307, Location=target.url("/back"))
    await follow(target)
    assert target.requests[1][1] == "/back"
    assert "Private-Token" not in target.requests[1][2]


async def test_the_same_origin_is_told_everything_again(target: TargetServer) -> None:
    async def once(request: object) -> object:
        first = answering(307, Location="/next")
        return await (first if len(target.requests) == 1 else answering(200))(request)  # type: ignore[arg-type]

    target.answer = once  # type: ignore[assignment]
    await follow(target)
    headers = target.requests[1][2]
    assert set(JOB_HEADERS) | set(OWN_HEADERS) <= set(headers)


@pytest.mark.parametrize(
    ("status", "method", "expected"),
    [
        *((status, "POST", "GET") for status in (301, 302, 303)),
        *((status, "POST", "POST") for status in (307, 308)),
        *((status, "PUT", "PUT") for status in (301, 302, 307, 308)),
        *((status, "DELETE", "DELETE") for status in (301, 302, 307, 308)),
        (303, "PUT", "GET"),
        (303, "DELETE", "GET"),
        (303, "GET", "GET"),
        *((status, "HEAD", "HEAD") for status in FOLLOWED),
    ],
)
async def test_method_and_body_go_on_as_browsers_send_them(
    target: TargetServer, other: TargetServer, status: int, method: str, expected: str
) -> None:
    target.answer = answering(status, Location=other.url("/next"))
    await follow(target, method)
    sent_method, _, headers, body = other.requests[0]
    keeps_body = status in (307, 308) or (status != 303 and method != "POST")
    assert sent_method == expected
    assert body == (b"a;b" if keeps_body else b"")
    assert ("Content-Type" in headers) == keeps_body
