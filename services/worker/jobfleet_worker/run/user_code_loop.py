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
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import structlog

USER_CODE_TRIED_TO_EXIT = "handler.exit_ignored"

T = TypeVar("T")

_log = structlog.get_logger()


def run_through(
    work: Coroutine[Any, Any, T],
    *,
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None,
) -> T:
    """Run ``work`` to its own end on a fresh event loop, and return what it returns.

    An exit that user code raises on the loop, or a stop of the loop, is logged and ignored. In a
    task it is also the exception of that task, so whoever awaits the task sees it.
    """
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        loop = runner.get_loop()
        asyncio.set_event_loop(loop)
        task = loop.create_task(work, name="main")
        _drive(loop, task)
        # Before the runner closes: it cancels what is left, and an exit there would end the
        # process before its connections are closed.
        left = asyncio.all_tasks(loop)
        for each in left:
            each.cancel()
        if left:
            _drive(loop, asyncio.ensure_future(asyncio.wait(left, timeout=1), loop=loop))
        return task.result()


def _drive(loop: asyncio.AbstractEventLoop, task: asyncio.Future[Any]) -> None:
    """Enter the loop again until the task is done; its own exception is left in it."""
    while not task.done():
        try:
            loop.run_until_complete(task)
        except (SystemExit, KeyboardInterrupt) as error:
            if not task.done():
                _log.warning(USER_CODE_TRIED_TO_EXIT, error=repr(error), exc_info=error)
        except RuntimeError as error:  # user code has called loop.stop()
            if not task.done():
                _log.warning(USER_CODE_TRIED_TO_EXIT, error=str(error))
        except BaseException:  # noqa: BLE001 - the task's own; the caller gets it from the task
            if not task.done():
                raise
