"""Handlers with a rate; each returns when it began."""

import asyncio
import time

from jobfleet_worker import handler

TEN, TWENTY = "call.ten", "call.twenty"


@handler(TEN, rate="10/second")
async def call_ten(payload: object) -> float:
    return await _called()


@handler(TWENTY, rate="20/second")
async def call_twenty(payload: object) -> float:
    return await _called()


async def _called() -> float:
    began = time.time()
    await asyncio.sleep(0.05)
    return began
