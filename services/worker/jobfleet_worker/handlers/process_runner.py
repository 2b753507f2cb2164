"""Runs a handler in a process of its own, which cancel and time-out kill.

The child is spawned, never forked: the worker has threads and open connections. Progress and
checkpoints come back over a pipe; a checkpoint waits until the worker has written it.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import multiprocessing
import os
import signal
import threading
import traceback
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from jobfleet_worker.handlers.context import (
    AttemptFacts,
    BlockingJobContext,
    ContextFacts,
    ProgressSink,
)
from jobfleet_worker.handlers.plain_error import details_of, text_of
from jobfleet_worker.handlers.registry import _MARK, Handler, to_json
from jobfleet_worker.handlers.verdicts import Defer, Fail, Retry
from jobfleet_worker.tracing import Origin

_context = multiprocessing.get_context("spawn")


class HandlerProcessError(Exception):
    """The handler raised in its process; carries the type, message and traceback from there."""

    def __init__(self, type_name: str, message: str, traceback_text: str, bases: list[str]) -> None:
        super().__init__(message)
        self.type_name = type_name
        self.traceback_text = traceback_text
        self.bases = bases


class RefusedInWorker(Exception):
    """The worker could not keep what the handler reported; raised in the handler's process."""


class ProcessRunner:
    """One child process for one attempt."""

    def __init__(
        self, handler: Handler, payload: Any, facts: AttemptFacts, sink: ProgressSink
    ) -> None:
        self._place = (handler.function.__module__, handler.function.__qualname__)
        self._payload = payload
        self._facts = facts
        self._sink = sink
        self._process: BaseProcess | None = None
        self._stopped = False
        self._origin = Origin.here(facts.job)

    def start(self) -> asyncio.Future[Any]:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
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

    def _attend(self, loop: asyncio.AbstractEventLoop, future: asyncio.Future[Any]) -> None:
        try:
            answer = self._run(loop)
        except Exception as error:  # noqa: BLE001 - whatever happens here, the attempt must end
            answer = error
        with contextlib.suppress(RuntimeError):  # the loop is closed: the worker has gone
            loop.call_soon_threadsafe(_resolve, future, answer)

    def _run(self, loop: asyncio.AbstractEventLoop) -> _Answer:
        ours, theirs = _context.Pipe()
        self._process = _context.Process(
            target=_child,
            args=(theirs, *self._place, self._payload, self._facts, self._origin),
            daemon=True,
        )
        self._process.start()
        theirs.close()
        if self._stopped:
            self._process.terminate()
        answer = self._listen(loop, ours)
        self._process.join()
        return answer or _died(self._process.exitcode)

    def _listen(self, loop: asyncio.AbstractEventLoop, pipe: Connection) -> _Answer | None:
        while True:
            try:
                kind, *values = pipe.recv()
                if kind == "result":
                    return _Result(values[0])
                if kind == "error":
                    return _error_of(*values)
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


@dataclass(frozen=True, slots=True)
class _Result:
    value: Any


_Answer = _Result | Exception


def _resolve(future: asyncio.Future[Any], answer: _Answer) -> None:
    if future.done():
        return
    if isinstance(answer, _Result):
        future.set_result(answer.value)
    else:
        future.set_exception(answer)


def _died(exit_code: int | None) -> HandlerProcessError:
    message = f"the handler's process ended with exit code {exit_code}"
    return HandlerProcessError("ProcessDied", message, "", [])


def _error_of(verdict: str, values: dict[str, Any]) -> Exception:
    """Make in the worker what the handler raised; its own class may be unknown here."""
    match verdict:
        case "Retry":
            return Retry(**values)
        case "Fail":
            return Fail(**values)
        case "Defer":
            return Defer(**values)
        case _:
            return HandlerProcessError(**values)


class _PipeContext(BlockingJobContext):
    """The child's side of progress and checkpoints."""

    def __init__(self, facts: AttemptFacts, pipe: Connection) -> None:
        ContextFacts.__init__(self, facts=facts)
        self._pipe = pipe

    def progress(self, step: int, of: int | None = None, message: str = "") -> None:
        self._tell("progress", step, of, message)

    def checkpoint(self, value: Any) -> None:
        self._tell("checkpoint", value)

    def _tell(self, *message: Any) -> None:
        self._pipe.send(message)
        refused = self._pipe.recv()
        if refused is not None:
            raise RefusedInWorker(refused)


def _child(
    pipe: Connection, module: str, qualname: str, payload: Any, facts: AttemptFacts, origin: Origin
) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the worker's to answer
    _end_with_the_worker()
    origin.adopt()
    try:
        found: Any = importlib.import_module(module)
        for part in qualname.split("."):
            found = getattr(found, part)
        declared: Handler = getattr(found, _MARK)
        context = _PipeContext(facts, pipe)
        pipe.send(("result", to_json(declared.call(declared.read_payload(payload), context))))
    except BaseException as error:  # noqa: BLE001 - whatever ends the child is the outcome
        pipe.send(("error", *_plainly(error)))


def _plainly(error: BaseException) -> tuple[str, dict[str, Any]]:
    """Return an error as values that travel; exceptions of users may not survive pickling."""
    match error:
        case Retry():
            details = details_of(error)
            said = {"message": text_of(error), "after": error.after, "details": details}
            return "Retry", said
        case Fail():
            return "Fail", {"reason": text_of(error), "details": details_of(error)}
        case Defer():
            return "Defer", {"seconds": error.delay, "reason": text_of(error)}
    bases = [f"{base.__module__}.{base.__qualname__}" for base in type(error).__mro__]
    text = "".join(traceback.format_exception(error))
    return "", {
        "type_name": type(error).__name__,
        "message": text_of(error),
        "traceback_text": text,
        "bases": bases,
    }


def _end_with_the_worker() -> None:
    """A process that outlives its worker would run beside the successor's."""
    worker = multiprocessing.parent_process()
    assert worker is not None

    def wait() -> None:
        worker.join()
        os._exit(1)

    threading.Thread(target=wait, name="worker-watch", daemon=True).start()
