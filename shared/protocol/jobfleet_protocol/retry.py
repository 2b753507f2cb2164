"""Waiting for a backend in trouble: try again with growing pauses until it answers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

from jobfleet_contracts.errors import BackendError, DataMissing

_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 5.0

_Answer = TypeVar("_Answer")


def back_off() -> Iterator[float]:
    """Yield seconds to wait between tries, doubling from 50 ms to 5 s, without end."""
    pause = _FIRST_PAUSE
    while True:
        yield pause
        pause = min(pause * 2, _LONGEST_PAUSE)


def _log_nothing(error: BackendError) -> None:
    """The caller logs nothing of it."""


async def retry_for(
    seconds: float,
    operation: Callable[[], Awaitable[_Answer]],
    on_error: Callable[[BackendError], object] = _log_nothing,
) -> _Answer:
    """Like :func:`retry_forever`, but no new try begins after ``seconds``.

    Raises:
        BackendError: the last try's.
    """
    ends = asyncio.get_running_loop().time() + seconds

    def note(error: BackendError) -> None:
        if asyncio.get_running_loop().time() >= ends:
            raise error
        on_error(error)

    return await retry_forever(operation, note)


async def retry_forever(
    operation: Callable[[], Awaitable[_Answer]],
    on_error: Callable[[BackendError], object] = _log_nothing,
) -> _Answer:
    """Await ``operation()`` until it answers, and return its answer.

    Args:
        operation: begins a new try at each call. An error never means "not done", so a try must
            be harmless after one that was carried out.
        on_error: called with each error that another try follows.

    Raises:
        DataMissing: the backend answers, and the data are gone; another try would not help.
    """
    pause = back_off()
    while True:
        try:
            return await operation()
        except DataMissing:
            raise
        except BackendError as error:
            on_error(error)
        await asyncio.sleep(next(pause))
