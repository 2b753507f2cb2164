"""A server outside of the fleet that counts effects by idempotency key."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from random import Random
from uuid import UUID, uuid5

from aiohttp import web

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
        allowed = {
            effect_key(job_id, number): job_id
            for job_id, most in incarnations.items()
            for number in range(1, most + 1)
        }
        strange = [f"an effect under {key}, of no job" for key in self.calls if key not in allowed]
        missing = [
            f"job {job_id} completed without its effect"
            for job_id in sorted(completed)
            if effect_key(job_id, incarnations[job_id]) not in self.calls
        ]
        return strange + missing

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.calls[request.headers["Idempotency-Key"]] += 1
        await asyncio.sleep(self._random.uniform(0, SLOWEST_SECONDS))
        if self._random.random() < LOST_ANSWERS and request.transport is not None:
            request.transport.abort()
        return web.json_response({"done": True})


def effect_key(job_id: str, incarnation: int) -> str:
    """Return the key that all attempts of an incarnation pass on: docs/idempotency.md."""
    return str(uuid5(UUID(job_id), f"incarnation/{incarnation}"))
