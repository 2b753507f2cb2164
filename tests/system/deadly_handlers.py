"""A handler that takes its worker process with it."""

import os

from jobfleet_worker import handler


@handler("poison")
async def poison(payload: object) -> None:
    os._exit(9)
