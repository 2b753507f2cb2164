"""A server on loopback for outbound calls, and a client that may call it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult

from jobfleet_backends.system_clock import SystemClock
from jobfleet_worker.outbound.http_call import HttpAnswer, HttpCall
from jobfleet_worker.outbound.http_client import HttpClient
from jobfleet_worker.outbound.options import OutboundOptions

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


class TargetServer:
    """Answers every request by what the test gave it, and remembers them."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []
        self.answer: Answer = ok
        self.port = 0

    async def start(self, port: int = 0) -> None:
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_route("*", "/{path:.*}", self._take)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", port)
        await site.start()
        self.port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]

    async def stop(self) -> None:
        await self._runner.cleanup()

    def url(self, path: str = "/") -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    async def _take(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.requests.append((request.method, request.path, dict(request.headers), body))
        return await self.answer(request)


async def ok(_: web.Request) -> web.StreamResponse:
    return web.json_response({"ok": True})


def answering(status: int, text: str = "", **headers: str) -> Answer:
    async def answer(_: web.Request) -> web.StreamResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.Response(status=status, text=text, headers=named)

    return answer


async def hanging(_: web.Request) -> web.StreamResponse:
    await asyncio.sleep(30)
    return web.Response()


async def dripping(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    for _ in range(300):
        await response.write(b".")
        await asyncio.sleep(0.1)
    return response


async def flooding(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    for _ in range(100):
        await response.write(b"x" * 1024 * 1024)
    return response


class Names(AbstractResolver):
    """Names that mean what a test says, another thing at each look-up if it says so."""

    def __init__(self, *answers: list[str]) -> None:
        self._answers = list(answers)
        self.looked_up = 0

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        addresses = self._answers[min(self.looked_up, len(self._answers) - 1)]
        self.looked_up += 1
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=0,
            )
            for address in addresses
        ]

    async def close(self) -> None:
        pass


def client(resolver: AbstractResolver | None = None, **options: Any) -> HttpClient:
    options.setdefault("allow_private_targets", True)
    options.setdefault("allow_secrets_over_http", True)
    return HttpClient(options=OutboundOptions(**options), clock=SystemClock(), resolver=resolver)


async def get(caller: HttpClient, url: str, **fields: Any) -> HttpAnswer:
    fields.setdefault("timeout_seconds", 5)
    fields.setdefault("job_type", "http.request")
    return await caller.call(HttpCall(method=fields.pop("method", "GET"), url=url, **fields))
