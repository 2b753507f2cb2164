"""A target that fails every third request, hangs now and then and goes away for a while."""

from __future__ import annotations

import asyncio
from collections import defaultdict

from aiohttp import web

HANGS = "hangs"
EVERY_FAILING, EVERY_HANGING = 3, 40


class UnreliableTarget:
    """Keeps a log of its own: what became of each call, by idempotency key."""

    def __init__(self) -> None:
        self.calls: dict[str, list[int | str]] = defaultdict(list)
        self.port = 0
        self._count = 0
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def go_away(self, seconds: float) -> None:
        """Refuse connections for a while, then listen on the same port again."""
        await self.stop()
        await asyncio.sleep(seconds)
        await self.start()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self._count += 1
        calls = self.calls[request.headers["Idempotency-Key"]]
        if self._count % EVERY_HANGING == 0:
            calls.append(HANGS)
            await asyncio.sleep(60)
            return web.Response(status=504)  # the client has gone
        status = 503 if self._count % EVERY_FAILING == 0 else self._status(request.path)
        calls.append(status)
        return web.json_response({"calls": len(calls)}, status=status)

    def _status(self, path: str) -> int:
        return {"/missing": 404, "/teapot": 418, "/busy": 429}.get(path, 200)
