"""A proxy before the storage: applies one chosen request and loses its reply, or holds some up."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Literal
from urllib.parse import urlsplit

import aiohttp
from aiohttp import web
from yarl import URL

Loss = Literal["drop", "503"]
_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "host", "content-length"}


class LossyProxy:
    """Passes everything on as it came, signatures included, but for the reply that it loses.

    Attributes:
        seen: requests since the proxy was armed.
        lost: the request whose reply was lost, as ``METHOD path``; ``None`` before it came.
        held: how many requests were held up.
    """

    def __init__(self) -> None:
        self.seen = 0
        self.lost: str | None = None
        self.losses: Counter[str] = Counter()
        self.held = 0
        self._at = 0
        self._stalled = b""
        self._gate = asyncio.Event()
        self._how: Loss = "drop"
        self._session: aiohttp.ClientSession | None = None
        self._runners: list[web.AppRunner] = []

    async def start(self, connection_string: str) -> str:
        """Listen before each endpoint; returns the connection string that leads through here."""
        self._session = aiohttp.ClientSession(
            auto_decompress=False, connector=aiohttp.TCPConnector(limit=0, force_close=True)
        )
        parts = []
        for part in connection_string.split(";"):
            name, _, value = part.partition("=")
            if name.endswith("Endpoint"):
                address = urlsplit(value)
                port = await self._listen(f"{address.scheme}://{address.netloc}")
                value = f"http://127.0.0.1:{port}{address.path}"
            parts.append(f"{name}={value}" if name else "")
        return ";".join(parts)

    async def stop(self) -> None:
        for runner in self._runners:
            await runner.cleanup()
        if self._session is not None:
            await self._session.close()

    def arm(self, nth: int, how: Loss) -> None:
        """Lose the reply to the nth request from now on."""
        self.seen, self.lost, self._at, self._how = 0, None, nth, how

    def stall(self, named: bytes) -> None:
        """Hold up every write whose address or body names this, until :meth:`go_on`."""
        self._stalled = named
        self._gate.clear()

    def go_on(self) -> None:
        """Let what was held up be carried out, however late."""
        self._stalled = b""
        self._gate.set()

    async def _listen(self, target: str) -> int:
        async def pass_on(request: web.Request) -> web.StreamResponse:
            return await self._pass_on(request, target)

        app = web.Application(client_max_size=16 * 1024 * 1024)
        app.router.add_route("*", "/{path:.*}", pass_on)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        self._runners.append(runner)
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port: int = runner.addresses[0][1]
        return port

    async def _pass_on(self, request: web.Request, target: str) -> web.StreamResponse:
        self.seen += 1
        if (
            self._stalled
            and request.method != "GET"
            and self._stalled in await _path_and_body(request)
        ):
            self.held += 1
            await self._gate.wait()
        unlucky = self.seen == self._at
        answer = await asyncio.shield(self._forward(request, target))
        if not unlucky:
            return answer
        self.lost = f"{request.method} {request.path}"
        self.losses[f"{request.method} {self._how}"] += 1
        if self._how == "503":
            return web.Response(status=503, text="the service is unavailable")
        assert request.transport is not None
        request.transport.abort()
        return answer

    async def _forward(self, request: web.Request, target: str) -> web.Response:
        assert self._session is not None
        headers = {k: v for k, v in request.headers.items() if k.lower() not in _HOP_BY_HOP}
        async with self._session.request(
            request.method,
            URL(target + request.raw_path, encoded=True),
            headers=headers,
            data=await request.read() or None,
            skip_auto_headers=("Content-Type", "User-Agent", "Accept", "Accept-Encoding"),
            allow_redirects=False,
        ) as answer:
            body = await answer.read()
            kept = {k: v for k, v in answer.headers.items() if k.lower() not in _HOP_BY_HOP}
            return web.Response(status=answer.status, headers=kept, body=body)


async def _path_and_body(request: web.Request) -> bytes:
    return request.raw_path.encode() + await request.read()
