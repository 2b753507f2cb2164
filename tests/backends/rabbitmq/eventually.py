"""Waiting for a condition, with a description for the one who reads the failure."""

import asyncio
from collections.abc import Awaitable, Callable


async def eventually(
    description: str, condition: Callable[[], Awaitable[bool]], *, within: float = 5.0
) -> None:
    try:
        async with asyncio.timeout(within):
            while not await condition():  # noqa: ASYNC110 - the broker tells nobody
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"not within {within:g} s: {description}") from None
