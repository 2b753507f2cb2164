"""Waiting for a condition, with a description for the one who reads the failure."""

import time
from collections.abc import Callable

from devtools.servers.errors import ServerError


def wait_until(
    description: str,
    condition: Callable[[], bool],
    *,
    timeout_seconds: float,
    pause_seconds: float = 0.1,
) -> None:
    deadline = time.monotonic() + timeout_seconds
    while not condition():
        if time.monotonic() > deadline:
            message = f"not within {timeout_seconds:g} s: {description}"
            raise ServerError(message)
        time.sleep(pause_seconds)
