"""Waiting for a condition, with a description for the one who reads the failure."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from jobfleet_contracts.errors import BackendUnavailable

T = TypeVar("T")

LONGEST_PAUSE = 0.05
"""Seconds. A wait of minutes would else take more of the machine than what it waits for."""


async def eventually(
    description: str,
    condition: Callable[[], Awaitable[T | None]],
    *,
    seconds: float = 120,
    every: float = 0.01,
) -> T:
    """Ask until the answer is true, and return it; the longer it takes, the less often.

    A question that a backend did not answer is asked again.

    Args:
        description: what is waited for; the failure names it.
        every: seconds between the first two questions; longer where a question reads much, because
            it takes the servers' time from the fleet under test.

    Raises:
        AssertionError: the answer was not true within ``seconds``.
    """
    deadline, pause = time.monotonic() + seconds, every
    while True:
        try:
            found = await condition()
        except BackendUnavailable:  # a server of a crowded machine took too long
            found = None
        if found:
            return found
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {description}"
        await asyncio.sleep(pause)
        pause = min(pause * 1.1, max(every, LONGEST_PAUSE))
