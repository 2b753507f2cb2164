"""Runs a handler in a process of its own, which cancel and time-out kill.

The child is spawned, never forked: the worker has threads and open connections. It leads a session
of its own, and what it started ends with it, before the job's end is written. Progress and
checkpoints come back over a pipe; a checkpoint waits until the worker has written it.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Literal

from jobfleet_contracts.outcome import AttemptFailed, JobError
from jobfleet_worker.handlers.context import (
    AttemptFacts,
    BlockingJobContext,
    ContextFacts,
    ProgressSink,
)
from jobfleet_worker.handlers.described_error import describe_error
from jobfleet_worker.handlers.loop_thread import LoopThread
from jobfleet_worker.handlers.open_hooks import OpenHooks, started
from jobfleet_worker.handlers.outcomes import HandlerOutcome, outcome_of_call
from jobfleet_worker.handlers.registry import Handler, Handlers
from jobfleet_worker.tracing import Origin

LOOK_SECONDS = 0.1
"""How often to look whether a silent process has ended."""
EXIT_SECONDS = 2.0
"""For a process to end by itself after its handler has returned."""

_context = multiprocessing.get_context("spawn")


class RefusedInWorker(Exception):
    """The worker could not keep what the handler reported; raised in the handler's process."""


class ProcessRunner:
    """One child process for one attempt."""

    def __init__(
        self,
        handler: Handler,
        payload: Any,
        facts: AttemptFacts,
        sink: ProgressSink,
        hook_modules: tuple[str, ...] = (),
        set_up: Callable[[], None] | None = None,
    ) -> None:
        self._handler = handler
        self._hook_modules = hook_modules
        self._payload = payload
        self._facts = facts
        self._sink = sink
        self._set_up = set_up
        self._process: BaseProcess | None = None
        self._stopped = False
        self._has_ended = False
        self._guard = threading.Lock()
        self._origin = Origin.here(facts.job)

    def start(self) -> asyncio.Future[HandlerOutcome]:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[HandlerOutcome] = loop.create_future()
        threading.Thread(
            target=self._attend,
            args=(loop, future),
            name=f"handler-{self._facts.job.job_id}",
            daemon=True,
        ).start()
        return future

    def stop(self) -> None:
        self._stopped = True
        self._signal(signal.SIGTERM)

    def cut_off(self) -> None:
        self._signal(signal.SIGKILL)

    @property
    def has_noticed(self) -> bool:
        return False

    def _attend(
        self, loop: asyncio.AbstractEventLoop, future: asyncio.Future[HandlerOutcome]
    ) -> None:
        try:
            outcome = self._run(loop)
        except Exception as error:  # noqa: BLE001 - whatever happens here, the attempt must end
            outcome = AttemptFailed(describe_error(error))
        with contextlib.suppress(RuntimeError):  # the loop is closed: the worker has gone
            loop.call_soon_threadsafe(_resolve, future, outcome)

    def _run(self, loop: asyncio.AbstractEventLoop) -> HandlerOutcome:
        if _is_without_folder():
            message = "the worker's working folder was deleted: start the worker in another one"
            return AttemptFailed(JobError("WorkingFolderDeleted", message))
        ours, theirs = _context.Pipe()
        self._process = _context.Process(
            target=_child,
            args=(
                theirs,
                (*self._hook_modules, self._handler.module),
                self._handler.job_type,
                self._payload,
                self._facts,
                self._origin,
                self._set_up,
            ),
            daemon=False,  # a daemonic process may have no children
        )
        self._process.start()
        theirs.close()
        if self._stopped:
            self._signal(signal.SIGTERM)
        try:
            outcome = self._listen(loop, ours, self._process)
            return outcome or _died(self._process.exitcode)
        finally:
            self._end_group(self._process)
            ours.close()

    def _listen(
        self, loop: asyncio.AbstractEventLoop, pipe: Connection, process: BaseProcess
    ) -> HandlerOutcome | None:
        """Answer the process until it tells the outcome; ``None``: it ended without one.

        The end of the pipe is no sign of an end: a process that it forked may hold it open, and a
        handler may close it.
        """
        while True:
            # The exit is looked at before the pipe: what it wrote before it ended is still read.
            has_ended = process.exitcode is not None
            if not pipe.poll(0 if has_ended else LOOK_SECONDS):
                if has_ended:
                    return None
                continue
            try:
                kind, *values = pipe.recv()
                if kind == "outcome":
                    outcome: HandlerOutcome = values[0]
                    return outcome
                pipe.send(self._report(loop, kind, values))
            except (EOFError, OSError):
                _wait_for_exit(process)
                return None

    def _end_group(self, process: BaseProcess) -> None:
        """End what the process has started; itself too, if its threads keep it alive."""
        _wait_for_exit(process, EXIT_SECONDS)
        with self._guard:
            _signal_group(process, signal.SIGKILL)
            self._has_ended = True  # from here on its id may be another process's
        process.join()

    def _signal(self, number: signal.Signals) -> None:
        with self._guard:
            if self._process is not None and self._process.pid is not None and not self._has_ended:
                _signal_group(self._process, number)

    def _report(self, loop: asyncio.AbstractEventLoop, kind: str, values: list[Any]) -> str | None:
        """Keep a step or a checkpoint; returns why that could not be done."""
        call = getattr(self._sink, kind)(*values)
        try:
            asyncio.run_coroutine_threadsafe(call, loop).result()
        except Exception as error:  # noqa: BLE001 - it is the handler's to deal with
            return str(error)
        return None


def _resolve(future: asyncio.Future[HandlerOutcome], outcome: HandlerOutcome) -> None:
    if not future.done():
        future.set_result(outcome)


def _is_without_folder() -> bool:
    try:
        Path.cwd()
    except OSError:
        return True
    return False


def _wait_for_exit(process: BaseProcess, seconds: float = float("inf")) -> None:
    """Wait for the exit itself: ``join`` with a limit waits for a pipe that children inherit."""
    deadline = time.monotonic() + seconds
    while process.exitcode is None and time.monotonic() < deadline:
        time.sleep(0.005)


def _signal_group(process: BaseProcess, number: signal.Signals) -> None:
    assert process.pid is not None
    try:
        os.killpg(process.pid, number)
    except (ProcessLookupError, PermissionError):  # it has not begun its session yet, or has ended
        if process.exitcode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, number)


def _died(exit_code: int | None) -> AttemptFailed:
    message = f"the handler's process ended with exit code {exit_code}"
    return AttemptFailed(JobError("ProcessDied", message))


class _PipeContext(BlockingJobContext):
    """The child's side of progress and checkpoints."""

    def __init__(self, facts: AttemptFacts, pipe: Connection) -> None:
        ContextFacts.__init__(self, facts=facts)
        self._pipe = pipe
        self._one_call = threading.Lock()

    def end(self, outcome: HandlerOutcome) -> None:
        """Tell how the handler ended; threads that it has left get no answer any more."""
        if isinstance(outcome, AttemptFailed):
            outcome = replace(outcome, cause=None)  # a user's error may not survive pickling
        with self._one_call:
            self._pipe.send(("outcome", outcome))

    def _tell(self, kind: Literal["progress", "checkpoint"], *values: Any) -> None:
        # Of two threads that send at once, one would read the other's answer.
        with self._one_call:
            self._pipe.send((kind, *values))
            refused = self._pipe.recv()
        if refused is not None:
            raise RefusedInWorker(refused)


def _child(
    pipe: Connection,
    modules: tuple[str, ...],
    job_type: str,
    payload: Any,
    facts: AttemptFacts,
    origin: Origin,
    set_up: Callable[[], None] | None,
) -> None:
    os.setsid()  # Ctrl-C is the worker's to answer; and a signal reaches all that it starts
    _end_with_the_worker()
    origin.adopt()
    context = _PipeContext(facts, pipe)
    if set_up is not None:
        with contextlib.suppress(Exception):  # a log that cannot be opened fails no job
            set_up()
    try:
        handlers = Handlers.load(modules)
        declared = handlers.get(job_type)
        assert declared is not None
        loop = LoopThread()
        hooks = loop.call(started(OpenHooks(handlers.hooks, handlers.wanted(in_process=True))))
    except BaseException as error:  # noqa: BLE001 - a module may do anything when it is imported
        context.end(AttemptFailed(describe_error(error)))
    else:
        outcome = outcome_of_call(declared, payload, context, hooks, loop.loop)
        loop.call(hooks.stop())
        context.end(outcome)


def _end_with_the_worker() -> None:
    """A process that outlives its worker would run beside the successor's."""
    worker = multiprocessing.parent_process()
    assert worker is not None

    def wait() -> None:
        worker.join()
        while os.getppid() == worker.pid:  # the handler has closed the pipe that is waited for
            time.sleep(1)
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=wait, name="worker-watch", daemon=True).start()
