"""The three ways to run a handler: on the loop, in a thread, in a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
from typing import Any, Protocol

from jobfleet_worker.handlers.context import (
    AttemptFacts,
    BlockingJobContext,
    JobContext,
    ProgressSink,
)
from jobfleet_worker.handlers.process_runner import ProcessRunner
from jobfleet_worker.handlers.registry import Handler


class HandlerExit(Exception):
    """The handler tried to end the process."""


class Runner(Protocol):
    """One run of one handler."""

    def start(self) -> asyncio.Future[Any]:
        """Begin, and return the future of its result; call once."""
        ...

    def stop(self) -> None:
        """Ask it to stop."""
        ...

    def cut_off(self) -> None:
        """It did not heed ``stop``: kill it if that can be done."""
        ...

    @property
    def has_noticed(self) -> bool:
        """Whether the handler saw that it is to stop: what it returns then is no result."""
        ...


class LoopRunner:
    """Runs a coroutine function on the worker's event loop."""

    def __init__(
        self, handler: Handler, payload: Any, context: JobContext, wait: Any = None
    ) -> None:
        self._handler = handler
        self._payload = payload
        self._context = context
        self._wait = wait
        self._task: asyncio.Task[Any] | None = None

    def start(self) -> asyncio.Future[Any]:
        self._task = asyncio.create_task(self._run(), name=f"handler-{self._context.job.job_id}")
        return self._task

    def stop(self) -> None:
        self._context.cancel()
        if self._task is not None:
            self._task.cancel()

    def cut_off(self) -> None:
        """A coroutine that swallows its cancellation cannot be killed; it is abandoned."""

    @property
    def has_noticed(self) -> bool:
        return self._context.has_noticed

    async def _run(self) -> Any:
        try:
            return await self._handler.call(self._payload, self._context, self._wait)
        except (SystemExit, KeyboardInterrupt) as error:  # a task lets them end the whole worker
            raise _exit_of(error) from error


class ThreadRunner:
    """Runs a plain function in a thread of its own, so that a stuck one holds up no other."""

    def __init__(self, handler: Handler, payload: Any, context: BlockingJobContext) -> None:
        self._handler = handler
        self._payload = payload
        self._context = context

    def start(self) -> asyncio.Future[Any]:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        scope = contextvars.copy_context()
        threading.Thread(
            target=scope.run,
            args=(self._run, loop, future),
            name=f"handler-{self._context.job.job_id}",
            daemon=True,
        ).start()
        return future

    def stop(self) -> None:
        self._context.cancel()

    def cut_off(self) -> None:
        """A thread cannot be killed; it is abandoned."""

    @property
    def has_noticed(self) -> bool:
        return self._context.has_noticed

    def _run(self, loop: asyncio.AbstractEventLoop, future: asyncio.Future[Any]) -> None:
        try:
            result = self._handler.call(self._payload, self._context)
        except (SystemExit, KeyboardInterrupt) as error:
            _settle(loop, future, error=_exit_of(error))
        except BaseException as error:  # noqa: BLE001 - whatever ends the thread is the outcome
            _settle(loop, future, error=error)
        else:
            _settle(loop, future, result=result)


def _exit_of(error: SystemExit | KeyboardInterrupt) -> HandlerExit:
    how = f"sys.exit({error.code})" if isinstance(error, SystemExit) else type(error).__name__
    return HandlerExit(f"the handler left by {how}")


def _settle(
    loop: asyncio.AbstractEventLoop,
    future: asyncio.Future[Any],
    *,
    result: Any = None,
    error: BaseException | None = None,
) -> None:
    def settle() -> None:
        if future.done():
            return
        if error is None:
            future.set_result(result)
        elif isinstance(error, StopIteration | asyncio.CancelledError):
            future.set_exception(RuntimeError(f"the handler raised {type(error).__name__}"))
        else:
            future.set_exception(error)

    with contextlib.suppress(RuntimeError):  # the loop is closed: the worker has gone
        loop.call_soon_threadsafe(settle)


def runner_for(
    handler: Handler,
    payload: Any,
    facts: AttemptFacts,
    sink: ProgressSink,
    wait: Any = None,
) -> Runner:
    """Return the runner that the handler's declaration asks for.

    Args:
        wait: given to a built-in handler that waits for a third party.

    Raises:
        Fail: the payload does not fit the handler's annotation.
    """
    if handler.run_in == "process":
        return ProcessRunner(handler, payload, facts, sink)
    value = handler.read_payload(payload)
    if handler.run_in == "loop":
        return LoopRunner(handler, value, JobContext(facts=facts, sink=sink), wait)
    blocking = BlockingJobContext(facts=facts, sink=sink, loop=asyncio.get_running_loop())
    return ThreadRunner(handler, value, blocking)
