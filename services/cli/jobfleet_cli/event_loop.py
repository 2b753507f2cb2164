"""Runs a command's coroutine, on uvloop if it is installed."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from jobfleet_cli.stop_signals import HANGUP

T = TypeVar("T")

_ENDS = () if HANGUP is None else (signal.SIGTERM, HANGUP)
"""Windows has no loop that takes signals."""


def run_async(work: Coroutine[Any, Any, T]) -> T:
    """Run ``work`` on a fresh event loop and return what it returns.

    Raises:
        KeyboardInterrupt: Ctrl-C, after ``work`` was cancelled and has cleaned up.
    """
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(work)


def run_to_an_end(work: Coroutine[Any, Any, T]) -> T:
    """Run a command that asks once and ends; SIGTERM and a closed terminal act like Ctrl-C.

    The command then says what it leaves behind, as the ids of jobs that go on. A second signal
    ends the process at once. What ``nohup`` ignores stays ignored.

    Raises:
        KeyboardInterrupt: as :func:`run_async`, of each of these signals.
    """
    try:
        return run_async(_ended_by_signals(work))
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


async def _ended_by_signals(work: Coroutine[Any, Any, T]) -> T:
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None

    def end() -> None:
        for number in taken:
            loop.remove_signal_handler(number)
        task.cancel()

    taken = [each for each in _ENDS if signal.getsignal(each) is signal.SIG_DFL]
    for number in taken:
        loop.add_signal_handler(number, end)
    return await work


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return uvloop's, ``None`` for asyncio's own."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop
