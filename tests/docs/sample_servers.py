"""The servers that the pages' programs talk to."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from aiohttp import web

SECRET = "a secret of the callbacks"


class SampleServers:
    """A shop that fails its first two calls, and a partner that answers later.

    Attributes:
        orders: how often each idempotency key was accepted.
        authorizations: what the shop was shown.
        partner: the page's own program for the partner's side.
        results: headers and bodies of the callbacks that came.
    """

    def __init__(self) -> None:
        self.orders: Counter[str] = Counter()
        self.authorizations: set[str] = set()
        self.partner: ModuleType | None = None
        self.results: asyncio.Queue[tuple[Mapping[str, str], bytes]] = asyncio.Queue()
        self.port = 0
        self._calls = 0
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        app = web.Application()
        app.router.add_post("/orders", self._order)
        app.router.add_post("/scores", self._score)
        app.router.add_post("/results", self._result)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _order(self, request: web.Request) -> web.Response:
        self._calls += 1
        if self._calls <= 2:
            return web.Response(status=503, headers={"Retry-After": "0"})
        self.orders[request.headers["Idempotency-Key"]] += 1
        self.authorizations.add(request.headers.get("Authorization", ""))
        return web.json_response({"accepted": True}, status=201)

    async def _result(self, request: web.Request) -> web.Response:
        self.results.put_nowait((request.headers, await request.read()))
        return web.Response(status=204)

    async def _score(self, request: web.Request) -> web.Response:
        asked: dict[str, Any] = await request.json()
        assert self.partner is not None
        loop = asyncio.get_running_loop()
        loop.run_in_executor(None, self.partner.report, asked, SECRET)
        return web.Response(status=202)
