"""Runs the worker on an event loop that its handlers cannot end.

asyncio lets ``SystemExit`` and ``KeyboardInterrupt`` of a task or a callback out of
``run_forever``, which ends the process. Coroutine handlers share the worker's loop: one
``sys.exit`` in a child task would end every neighbour. A thread with a loop of its own for handlers
would cost two thread switches for each await of a context. Every object that a handler shares with
its start-up code would belong to another loop. So the loop is entered again instead: what was ready
stays ready, and nothing else is lost. For the same reason the worker's tasks refuse to be cancelled
by a handler, and the loop's factory of tasks and its threads stay those of the worker.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from collections.abc import Callable, Collection, Coroutine, Generator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import structlog

from jobfleet_worker.handlers.described_error import describe_error
from jobfleet_worker.handlers.outcome_turns import outcome_turn
from jobfleet_worker.handlers.runners import run_by

EXIT_IGNORED = "handler.exit_ignored"
CANCEL_IGNORED = "handler.cancel_ignored"
LOOP_CHANGE_IGNORED = "handler.loop_change_ignored"
LAST_SECONDS = 1.0

T = TypeVar("T")


class LoopLost(Exception):
    """The event loop cannot be entered any more."""


_log = structlog.get_logger()


class WorkersTask(asyncio.Task[T]):
    """A task of the worker's own, which only the worker or the handler in it can cancel.

    A handler that cancels ``asyncio.all_tasks()`` would otherwise end its worker and every job that
    runs beside it.
    """

    def cancel(self, msg: Any = None) -> bool:
        caller = run_by.get()
        if caller is None or caller is self:
            return super().cancel(msg)
        _log.warning(CANCEL_IGNORED, task=self.get_name())
        return False


def _new_task(
    loop: asyncio.AbstractEventLoop,
    work: Coroutine[Any, Any, Any] | Generator[Any, None, Any],
    /,
    **options: Any,
) -> asyncio.Task[Any]:
    kind: Any = asyncio.Task if run_by.get() is not None else WorkersTask
    task: asyncio.Task[Any] = kind(work, loop=loop, **options)
    return task


def run_through(
    work: Coroutine[Any, Any, T],
    *,
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None,
) -> T:
    """Run ``work`` to its own end on a fresh event loop, and return what it returns.

    Four acts of user code are logged and ignored: an exit that it raises on the loop, a stop of
    the loop, the cancellation of a task of the worker's, and another task factory or default
    executor from a handler. An exit in a task is also the exception of that task, so code that
    awaits the task sees it. Threads that user code has left in the default executor are not
    waited for.

    Raises:
        KeyboardInterrupt: Ctrl-C, if SIGINT has no handler, after ``work`` was cancelled.
        LoopLost: the loop cannot be entered again, as when user code has left no file number for
            it. Its tasks stay where they are: end the process.
    """
    loop = (loop_factory or asyncio.new_event_loop)()
    asyncio.set_event_loop(loop)
    loop.set_task_factory(_new_task)
    threads = ThreadPoolExecutor()
    loop.set_default_executor(threads)
    _keep_as_it_is(loop)
    try:
        task = loop.create_task(work, name="main")
        _drive(loop, task)
        _end_what_is_left(loop)
        return task.result()
    finally:
        threads.shutdown(wait=False, cancel_futures=True)
        asyncio.set_event_loop(None)
        with contextlib.suppress(RuntimeError, OSError):  # a lost loop may count as running
            loop.close()


def _keep_as_it_is(loop: asyncio.AbstractEventLoop) -> None:
    """Ignore what a handler would change for every task and every thread call of the worker."""
    guarded: Any = loop  # asyncio has no hook for this: the methods are covered on the object
    set_factory, set_executor = loop.set_task_factory, loop.set_default_executor
    end_executor = loop.shutdown_default_executor

    def set_task_factory(factory: Any) -> None:
        if _is_ours_to_change("set_task_factory"):
            set_factory(factory)

    def set_default_executor(executor: Any) -> None:
        if _is_ours_to_change("set_default_executor"):
            set_executor(executor)

    async def shutdown_default_executor(*args: Any, **options: Any) -> None:
        if _is_ours_to_change("shutdown_default_executor"):
            await end_executor(*args, **options)

    guarded.set_task_factory = set_task_factory
    guarded.set_default_executor = set_default_executor
    guarded.shutdown_default_executor = shutdown_default_executor


def _is_ours_to_change(method: str) -> bool:
    if run_by.get() is None:
        return True
    _log.warning(LOOP_CHANGE_IGNORED, method=method)
    return False


def _drive(loop: asyncio.AbstractEventLoop, task: asyncio.Task[Any]) -> None:
    """Enter the loop again until the task is done; its own exception is left in it."""
    refusal: Exception | None = None
    while not task.done():
        entered: list[bool] = []
        try:
            loop.call_soon(entered.append, True)
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
            if entered and not task.done():
                _ignore(error)
            elif not task.done():  # else this would spin: nothing has run since the last time
                if refusal is not None:
                    raise LoopLost(f"{type(refusal).__name__}: {refusal}") from refusal
                refusal = error
                continue
        except asyncio.CancelledError:
            pass
        refusal = None


def _ignore(error: BaseException) -> None:
    # In a thread: the text of an error is code of the user's, and may take long.
    threading.Thread(target=_log_ignored, args=(error,), name="ignored", daemon=True).start()


def _log_ignored(error: BaseException) -> None:
    with outcome_turn():
        described = describe_error(error)
    _log.warning(
        EXIT_IGNORED, error=f"{described.type}: {described.message}", exception=described.traceback
    )


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
