"""Runs a handler in a process of its own, which cancel and time-out kill.

The child is spawned, never forked: the worker has threads and open connections. Progress and
checkpoints come back over a pipe; a checkpoint waits until the worker has written it.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, Literal

from jobfleet_contracts.outcome import AttemptFailed, JobError
from jobfleet_worker.handlers.context import (
    AttemptFacts,
    BlockingJobContext,
    ContextFacts,
    ProgressSink,
)
from jobfleet_worker.handlers.described_error import describe_error
from jobfleet_worker.handlers.outcomes import HandlerOutcome, outcome_of_call
from jobfleet_worker.handlers.registry import Handler, handlers_in
from jobfleet_worker.tracing import Origin

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
        set_up: Callable[[], None] | None = None,
    ) -> None:
        self._handler = handler
        self._payload = payload
        self._facts = facts
        self._sink = sink
        self._set_up = set_up
        self._process: BaseProcess | None = None
        self._stopped = False
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
        if self._process is not None and self._process.pid is not None:
            self._process.terminate()

    def cut_off(self) -> None:
        if self._process is not None and self._process.pid is not None:
            self._process.kill()

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
        ours, theirs = _context.Pipe()
        self._process = _context.Process(
            target=_child,
            args=(
                theirs,
                self._handler.module,
                self._handler.job_type,
                self._payload,
                self._facts,
                self._origin,
                self._set_up,
            ),
            daemon=True,
        )
        self._process.start()
        theirs.close()
        if self._stopped:
            self._process.terminate()
        outcome = self._listen(loop, ours)
        self._process.join()
        return outcome or _died(self._process.exitcode)

    def _listen(self, loop: asyncio.AbstractEventLoop, pipe: Connection) -> HandlerOutcome | None:
        while True:
            try:
                kind, *values = pipe.recv()
                if kind == "outcome":
                    outcome: HandlerOutcome = values[0]
                    return outcome
                pipe.send(self._report(loop, kind, values))
            except (EOFError, OSError):
                return None

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
    module: str,
    job_type: str,
    payload: Any,
    facts: AttemptFacts,
    origin: Origin,
    set_up: Callable[[], None] | None,
) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the worker's to answer
    _end_with_the_worker()
    origin.adopt()
    context = _PipeContext(facts, pipe)
    if set_up is not None:
        with contextlib.suppress(Exception):  # a log that cannot be opened fails no job
            set_up()
    try:
        declared = next(each for each in handlers_in(module) if each.job_type == job_type)
    except BaseException as error:  # noqa: BLE001 - a module may do anything when it is imported
        context.end(AttemptFailed(describe_error(error)))
    else:
        context.end(outcome_of_call(declared, payload, context))


def _end_with_the_worker() -> None:
    """A process that outlives its worker would run beside the successor's."""
    worker = multiprocessing.parent_process()
    assert worker is not None

    def wait() -> None:
        worker.join()
        os._exit(1)

    threading.Thread(target=wait, name="worker-watch", daemon=True).start()
