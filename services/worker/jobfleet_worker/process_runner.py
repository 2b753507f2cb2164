"""Runs a handler in a process of its own, which cancel and time-out kill.

The child is spawned, never forked: the worker has threads and open connections. Progress and
checkpoints come back over a pipe; a checkpoint waits until the worker has written it.
"""

from __future__ import annotations

import asyncio
import importlib
import multiprocessing
import threading
import traceback
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from jobfleet_worker.context import AttemptFacts, BlockingJobContext, ContextFacts, ProgressSink
from jobfleet_worker.handlers import _MARK, Handler, to_json
from jobfleet_worker.verdicts import Defer, Fail, Retry

_context = multiprocessing.get_context("spawn")


class HandlerProcessError(Exception):
    """The handler raised in its process; carries the type, message and traceback from there."""

    def __init__(self, type_name: str, message: str, traceback_text: str, bases: list[str]) -> None:
        super().__init__(message)
        self.type_name = type_name
        self.traceback_text = traceback_text
        self.bases = bases


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

    def _attend(self, loop: asyncio.AbstractEventLoop, future: asyncio.Future[Any]) -> None:
        ours, theirs = _context.Pipe()
        self._process = _context.Process(
            target=_child, args=(theirs, *self._place, self._payload, self._facts), daemon=True
        )
        self._process.start()
        theirs.close()
        if self._stopped:
            self._process.terminate()
        answer = self._listen(loop, ours)
        self._process.join()
        loop.call_soon_threadsafe(_resolve, future, answer, self._process.exitcode)

    def _listen(self, loop: asyncio.AbstractEventLoop, pipe: Connection) -> tuple[Any, ...] | None:
        while True:
            try:
                kind, *values = pipe.recv()
            except (EOFError, OSError):
                return None
            if kind in ("result", "error"):
                return (kind, *values)
            call = getattr(self._sink, kind)(*values)
            asyncio.run_coroutine_threadsafe(call, loop).result()
            pipe.send("written")


def _resolve(
    future: asyncio.Future[Any], answer: tuple[Any, ...] | None, exit_code: int | None
) -> None:
    if future.done():
        return
    if answer is None:
        future.set_exception(
            HandlerProcessError(
                "ProcessDied", f"the handler's process ended with exit code {exit_code}", "", []
            )
        )
    elif answer[0] == "result":
        future.set_result(answer[1])
    else:
        future.set_exception(answer[1])


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
        self._pipe.recv()


def _child(pipe: Connection, module: str, qualname: str, payload: Any, facts: AttemptFacts) -> None:
    try:
        found: Any = importlib.import_module(module)
        for part in qualname.split("."):
            found = getattr(found, part)
        declared: Handler = getattr(found, _MARK)
        arguments = (declared.read_payload(payload), _PipeContext(facts, pipe))
        result = declared.function(*arguments[: 1 + declared.takes_context])
        pipe.send(("result", to_json(result)))
    except (Retry, Fail, Defer) as verdict:
        pipe.send(("error", verdict))
    except BaseException as error:  # noqa: BLE001 - whatever ends the child is the outcome
        bases = [f"{base.__module__}.{base.__qualname__}" for base in type(error).__mro__]
        text = "".join(traceback.format_exception(error))
        pipe.send(("error", HandlerProcessError(type(error).__name__, str(error), text, bases)))
