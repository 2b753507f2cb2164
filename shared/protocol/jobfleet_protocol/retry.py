"""Waiting for a backend in trouble: try again with growing pauses until it answers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TypeVar

import structlog

from jobfleet_contracts.errors import BackendError, BackendForbidden, DataMissing

BACKEND_AWAITED = "backend.awaited"
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 5.0
_QUIET_TRIES = 5
"""So many tries without an answer, which take a second and a half, are no news."""
_TELL_SECONDS = 30.0

_log = structlog.get_logger()

_Answer = TypeVar("_Answer")


@dataclass(slots=True)
class Trouble:
    """What :func:`retry_forever` waits out at this moment.

    Attributes:
        error: of the newest try; ``None``: nothing is being repeated.
    """

    error: BackendError | None = None


trouble: ContextVar[Trouble | None] = ContextVar("trouble", default=None)
"""Set by a caller that reports, when it stops waiting, what the operations inside wait for."""


def back_off() -> Iterator[float]:
    """Yield seconds to wait between tries, doubling from 50 ms to 5 s, without end."""
    pause = _FIRST_PAUSE
    while True:
        yield pause
        pause = min(pause * 2, _LONGEST_PAUSE)


def _log_nothing(error: BackendError) -> None:
    """The caller logs nothing of it."""


_told_at: dict[type[BackendError], float] = {}
"""When the log was told of each kind of error, by the loop's clock."""


def _tell(error: BackendError) -> None:
    """Log what is waited for: without it a process that lacks a permission waits in silence.

    Many operations wait for the same thing, so each kind of error is told once in a while.
    """
    now, last = asyncio.get_running_loop().time(), _told_at.get(type(error))
    if last is None or not 0 <= now - last < _TELL_SECONDS:
        _told_at[type(error)] = now
        _log.warning(BACKEND_AWAITED, error=str(error))


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

    The log tells now and then what is waited for, of a missing permission at once.

    Args:
        operation: begins a new try at each call. An error never means "not done", so a try must
            be harmless after one that was carried out.
        on_error: called with each error that another try follows.

    Raises:
        DataMissing: the backend answers, and the data are gone; another try would not help.
    """
    pause, noted, tries = back_off(), None, 0
    while True:
        try:
            answer = await operation()
        except DataMissing:
            raise
        except BackendError as error:
            on_error(error)
            if (noted := trouble.get()) is not None:
                noted.error = error
            tries += 1
            if tries > _QUIET_TRIES or isinstance(error, BackendForbidden):
                _tell(error)
        else:
            if noted is not None:
                noted.error = None
            return answer
        await asyncio.sleep(next(pause))
