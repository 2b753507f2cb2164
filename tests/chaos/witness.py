"""A server outside of the fleet that counts effects by idempotency key."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from random import Random

from aiohttp import web

from tests.effects import contradictions

LOST_ANSWERS = 0.1
SLOWEST_SECONDS = 1.0


class Witness:
    """Does a thing once for each key, and answers a repeated call as the first one.

    Some answers are lost after the effect, so that callers have to call again.

    Attributes:
        calls: how often each key came. A key's effect happened once, at its first call.
    """

    def __init__(self, random: Random) -> None:
        self._random = random
        self._runner: web.AppRunner | None = None
        self.calls: Counter[str] = Counter()
        self.url = ""

    async def start(self) -> None:
        app = web.Application()
        app.router.add_post("/", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/"

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    def contradictions(self, incarnations: Mapping[str, int], completed: set[str]) -> list[str]:
        """Return where the effects differ from what the trail says.

        Args:
            incarnations: how many each job that calls has had.
            completed: those of them whose last incarnation completed.
        """
        return contradictions(self.calls, incarnations, completed)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.calls[request.headers["Idempotency-Key"]] += 1
        await asyncio.sleep(self._random.uniform(0, SLOWEST_SECONDS))
        if self._random.random() < LOST_ANSWERS and request.transport is not None:
            request.transport.abort()
        return web.json_response({"done": True})
