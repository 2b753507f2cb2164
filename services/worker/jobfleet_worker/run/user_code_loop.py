"""Runs the worker on an event loop that its handlers cannot end.

asyncio lets ``SystemExit`` and ``KeyboardInterrupt`` of a task or a callback out of
``run_forever``, which ends the process. Coroutine handlers share the worker's loop: one
``sys.exit`` in a child task would end every neighbour. Handlers on a thread with a loop of their
own would cost two thread switches for each await of a context, and every object that a handler
shares with its start-up code would belong to another loop. So the loop is entered again instead:
what was ready stays ready, and nothing else is lost.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Collection, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import structlog

EXIT_IGNORED = "handler.exit_ignored"
LAST_SECONDS = 1.0

T = TypeVar("T")

_log = structlog.get_logger()


def run_through(
    work: Coroutine[Any, Any, T],
    *,
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None,
) -> T:
    """Run ``work`` to its own end on a fresh event loop, and return what it returns.

    An exit that user code raises on the loop, or a stop of the loop, is logged and ignored. In a
    task it is also the exception of that task, so whoever awaits the task sees it. Threads that
    user code has left in the default executor are not waited for.

    Raises:
        KeyboardInterrupt: Ctrl-C, where nobody handles SIGINT, after ``work`` was cancelled.
    """
    loop = (loop_factory or asyncio.new_event_loop)()
    asyncio.set_event_loop(loop)
    threads = ThreadPoolExecutor()
    loop.set_default_executor(threads)
    try:
        task = loop.create_task(work, name="main")
        _drive(loop, task)
        _end_what_is_left(loop)
        return task.result()
    finally:
        threads.shutdown(wait=False, cancel_futures=True)
        asyncio.set_event_loop(None)
        loop.close()


def _drive(loop: asyncio.AbstractEventLoop, task: asyncio.Task[Any]) -> None:
    """Enter the loop again until the task is done; its own exception is left in it."""
    while not task.done():
        try:
            loop.run_until_complete(task)
        except KeyboardInterrupt as error:
            if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # a real Ctrl-C
                task.cancel()
                _drive(loop, task)
                raise
            _ignore(error)
        except SystemExit as error:
            if not task.done():
                _ignore(error)
        except Exception as error:  # noqa: BLE001 - RuntimeError where user code has stopped the loop
            if not task.done():
                _ignore(error)
        except asyncio.CancelledError:
            pass


def _ignore(error: BaseException) -> None:
    _log.warning(EXIT_IGNORED, error=repr(error), exc_info=error)


def _end_what_is_left(loop: asyncio.AbstractEventLoop) -> None:
    """Cancel tasks that handlers left behind; one that does not heed it is left alone."""
    left = asyncio.all_tasks(loop)
    for each in left:
        each.cancel()
    _drive(loop, loop.create_task(_wait_a_little(left), name="ending"))
    _drive(loop, loop.create_task(loop.shutdown_asyncgens(), name="ending"))


async def _wait_a_little(tasks: Collection[asyncio.Task[Any]]) -> None:
    if tasks:
        await asyncio.wait(tasks, timeout=LAST_SECONDS)
