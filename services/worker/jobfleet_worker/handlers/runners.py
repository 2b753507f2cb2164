"""The three ways to run a handler: on the loop, in a thread, in a process of the pool."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol, TypeVar

from jobfleet_contracts.outcome import AttemptFailed, JobError, Waiting
from jobfleet_worker.handlers.context import (
    AttemptFacts,
    BlockingJobContext,
    JobContext,
    ProgressSink,
)
from jobfleet_worker.handlers.error_text import type_of
from jobfleet_worker.handlers.log_capture import Keep, captured
from jobfleet_worker.handlers.open_hooks import OpenHooks
from jobfleet_worker.handlers.outcomes import (
    HandlerOutcome,
    is_described_at_once,
    judge_of,
    noted,
    outcome_of_call,
    outcome_of_error,
    outcome_of_result,
    run_of,
)
from jobfleet_worker.handlers.process_runner import ProcessRunner
from jobfleet_worker.handlers.registry import Handler
from jobfleet_worker.handlers.result_json import is_plain
from jobfleet_worker.handlers.user_thread import in_user_thread
from jobfleet_worker.processes.pool import ProcessPool

T = TypeVar("T")

run_by: contextvars.ContextVar[asyncio.Task[Any] | None] = contextvars.ContextVar(
    "run_by", default=None
)
"""The task of the coroutine handler whose code runs; ``None`` in the worker's own code."""


END_SECONDS = 1.0
"""For code that cannot be killed: what has not ended by then may never end."""
HANDLER_TASK = "handler-"
"""What the names of coroutine handlers' tasks begin with; the job's id follows."""


def job_of_handler(task: asyncio.Task[Any] | None) -> str | None:
    """Return the job whose coroutine handler a task runs; ``None`` of every other task."""
    name = "" if task is None else task.get_name()
    return name.removeprefix(HANDLER_TASK) if name.startswith(HANDLER_TASK) else None


class Runner(Protocol):
    """One run of one handler."""

    def start(self) -> asyncio.Future[HandlerOutcome]:
        """Begin, and return the future of how it ends, which raises nothing; call once."""
        ...

    def stop(self) -> None:
        """Ask it to stop."""
        ...

    def cut_off(self) -> None:
        """It did not heed ``stop``: kill it if that can be done."""
        ...

    @property
    def has_noticed(self) -> bool:
        """Whether the handler saw that it is to stop: what it returns then is not its result."""
        ...

    @property
    def end_seconds(self) -> float:
        """How long its end may take after ``cut_off``; then it is left behind."""
        ...


class LoopRunner:
    """Runs a coroutine function on the worker's event loop.

    A thread makes JSON of its result and text of its error, unless that is quick and runs no code
    of the user's. Otherwise one job's large result would hold up the others.
    """

    def __init__(
        self,
        handler: Handler,
        payload: Any,
        context: JobContext,
        hooks: OpenHooks,
        wait: Any = None,
        keep: Keep | None = None,
    ) -> None:
        self._handler = handler
        self._payload = payload
        self._context = context
        self._hooks = hooks
        self._wait = wait
        self._keep = keep
        self._task: asyncio.Task[HandlerOutcome] | None = None
        self._is_stopped = False

    def start(self) -> asyncio.Future[HandlerOutcome]:
        name = f"{HANDLER_TASK}{self._context.job.job_id}"
        with captured(self._keep, self._context.attempt):  # which the task takes over
            self._task = asyncio.create_task(self._run(), name=name)
        return self._task

    def stop(self) -> None:
        self._is_stopped = True
        self._context.cancel()
        if self._task is not None:
            self._task.cancel()

    def cut_off(self) -> None:
        """A coroutine that swallows its cancellation cannot be killed; it is abandoned."""

    @property
    def has_noticed(self) -> bool:
        return self._context.has_noticed

    @property
    def end_seconds(self) -> float:
        return END_SECONDS

    async def _run(self) -> HandlerOutcome:
        run_by.set(asyncio.current_task())
        plan, run = self._handler.plan, run_of(self._context.facts)
        try:
            async with self._hooks.around(plan, run, judge_of(self._handler, self._has_stopped)):
                payload = await self._read_payload()
                async with self._hooks.values(plan, run) as values:
                    result = self._handler.call(payload, self._context, values, self._wait)
                    if inspect.isawaitable(result):
                        result = await result
                    return noted(await self._outcome_of(result), run)
        except asyncio.CancelledError:
            return AttemptFailed(JobError("CancelledError", "the handler cancelled itself"))
        except BaseException as error:  # noqa: BLE001 - SystemExit would end the whole worker
            return await self._of_error(error)

    async def _outcome_of(self, result: Any) -> HandlerOutcome:
        if type(result) is Waiting or is_plain(result):
            return outcome_of_result(result)
        return await _in_thread(lambda: outcome_of_result(result), name=self._thread_name)

    def _has_stopped(self) -> bool:
        return self._is_stopped

    async def _read_payload(self) -> Any:
        """Read the payload; in a thread if that runs validators of the user's.

        A slow validator would hold up every other job of this loop, and its own time limit.
        """
        handler = self._handler
        if not handler.reads_with_code:
            return handler.read_payload(self._payload)
        read = partial(_tried, handler.read_payload, self._payload)
        payload, error = await _in_thread(read, name=f"payload-{self._context.job.job_id}")
        if error is not None:
            raise error
        return payload

    async def _of_error(self, error: BaseException) -> HandlerOutcome:
        if self._is_stopped:  # the reason of the stop is the outcome: the error is not read
            return AttemptFailed(JobError(type_of(error), "raised when it was stopped"))
        retry_on = self._handler.retry_on
        if is_described_at_once(error):
            return outcome_of_error(error, retry_on)
        return await _in_thread(lambda: outcome_of_error(error, retry_on), name=self._thread_name)

    @property
    def _thread_name(self) -> str:
        return f"outcome-{self._context.job.job_id}"


class ThreadRunner:
    """Runs a plain function in a thread of its own, so that a stuck one holds up no other."""

    def __init__(
        self,
        handler: Handler,
        payload: Any,
        context: BlockingJobContext,
        hooks: OpenHooks,
        keep: Keep | None = None,
    ) -> None:
        self._handler = handler
        self._payload = payload
        self._context = context
        self._hooks = hooks
        self._keep = keep

    def start(self) -> asyncio.Future[HandlerOutcome]:
        loop = asyncio.get_running_loop()
        with captured(self._keep, self._context.attempt):  # which the thread takes over
            return _in_thread(
                lambda: outcome_of_call(
                    self._handler, self._payload, self._context, self._hooks, loop
                ),
                name=f"handler-{self._context.job.job_id}",
            )

    def stop(self) -> None:
        self._context.cancel()

    def cut_off(self) -> None:
        """A thread cannot be killed; it is abandoned."""

    @property
    def has_noticed(self) -> bool:
        return self._context.has_noticed

    @property
    def end_seconds(self) -> float:
        return END_SECONDS


def _tried(read: Callable[[Any], Any], payload: Any) -> tuple[Any, BaseException | None]:
    """Return the payload as read, or the error; every error belongs to the attempt."""
    try:
        return read(payload), None
    except BaseException as error:  # noqa: BLE001 - raised again where the attempt is
        return None, error


def _in_thread(call: Callable[[], T], *, name: str) -> asyncio.Future[T]:
    """Run a call of an attempt in a thread of its own.

    Raises:
        RuntimeError: the call raised; from the future. ``SystemExit`` would end the loop.
    """

    def run() -> T:
        try:
            return call()
        except BaseException as error:  # noqa: BLE001 - its type is raised below
            raised = type_of(error)
        # Outside of the clause: a chained error would be read again, and may be hostile.
        raise RuntimeError(f"{raised} was raised")

    return in_user_thread(run, name=name)


def runner_for(
    handler: Handler,
    payload: Any,
    facts: AttemptFacts,
    sink: ProgressSink,
    hooks: OpenHooks,
    *,
    processes: ProcessPool,
    wait: Any = None,
    keep: Keep | None = None,
) -> Runner:
    """Return the runner that the handler's declaration asks for.

    Args:
        hooks: those of this process; a process of the pool opens its own.
        processes: for a handler that runs in one.
        wait: given to a built-in handler that waits for a third party.
        keep: takes what the handler logs; ``None``: logs are not kept.
    """
    if handler.run_in == "process":
        return ProcessRunner(handler, payload, facts, sink, processes, keep)
    if handler.run_in == "loop":
        return LoopRunner(handler, payload, JobContext(facts=facts, sink=sink), hooks, wait, keep)
    blocking = BlockingJobContext(facts=facts, sink=sink, loop=asyncio.get_running_loop())
    return ThreadRunner(handler, payload, blocking, hooks, keep)
