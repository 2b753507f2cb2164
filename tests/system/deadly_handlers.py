"""A handler that takes its worker process with it, and one that runs beside it."""

import asyncio
import os

from jobfleet_worker import handler


@handler("poison")
async def poison(payload: object) -> None:
    os._exit(9)


@handler("poison.later")
async def poison_later(payload: float) -> None:
    await asyncio.sleep(payload)
    os._exit(9)


@handler("neighbour")
async def neighbour(payload: float) -> str:
    await asyncio.sleep(payload)
    return "done"
