"""How long the caller of a change waits for the trail; the change itself goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import structlog

from jobfleet_contracts.errors import BackendUnavailable
from jobfleet_protocol.retry import Trouble, trouble

ANSWER_SECONDS = 8.0
"""Beyond it the answer is "unclear". An append once sent is never given up."""

FAILED_LATE = "answer.failed_late"

T = TypeVar("T")
_log = structlog.get_logger()


async def answered(work: Coroutine[Any, Any, T], *, name: str, unclear: str) -> T:
    """Return what ``work`` returns, or raise what it raises, if that takes 8 s at most.

    Neither the time limit nor a cancelled caller stops the work.

    Args:
        name: name of the task that goes on.
        unclear: what is known afterwards, and what to do, in words for the one who asked.

    Raises:
        BackendUnavailable: the time is over; the change may be written, now or later. The text
            holds the error that the work waits out, as a missing permission.
    """
    loop = asyncio.get_running_loop()
    noted = Trouble()
    mark = trouble.set(noted)
    try:
        task = loop.create_task(work, name=name)  # it keeps the context of this moment
    finally:
        trouble.reset(mark)
    _late.add(task)
    task.add_done_callback(_late.discard)
    ended = loop.create_future()  # as asyncio.wait does it, which takes twice as long
    task.add_done_callback(lambda _: _set(ended))
    timer = loop.call_later(ANSWER_SECONDS, _set, ended)
    try:
        await ended
    finally:
        timer.cancel()
        if not task.done():
            task.add_done_callback(_note_late_end)
    if not task.done():
        reason = f": {noted.error}" if noted.error is not None else ""
        raise BackendUnavailable(f"the audit trail did not answer in time{reason}; {unclear}")
    return task.result()


async def settle_late_answers(seconds: float) -> None:
    """Wait for changes on this loop whose callers have left, at most ``seconds``."""
    loop = asyncio.get_running_loop()
    late = [task for task in _late if task.get_loop() is loop]
    if late:
        await asyncio.wait(late, timeout=seconds)


_late: set[asyncio.Task[Any]] = set()
"""The loop itself holds tasks only weakly."""


def _set(ended: asyncio.Future[None]) -> None:
    if not ended.done():
        ended.set_result(None)


def _note_late_end(task: asyncio.Task[Any]) -> None:
    if not task.cancelled() and task.exception() is not None:
        _log.warning(FAILED_LATE, task=task.get_name(), error=str(task.exception()))
