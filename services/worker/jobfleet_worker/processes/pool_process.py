"""What a process of the pool does: one job after the other, each as if it were the first."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from multiprocessing import spawn
from multiprocessing.connection import Connection
from typing import Any, Literal

from jobfleet_contracts.log_line import MAX_LOG_BYTES
from jobfleet_contracts.outcome import AttemptFailed, JobError
from jobfleet_worker.handlers.context import AttemptFacts, BlockingJobContext, ContextFacts
from jobfleet_worker.handlers.described_error import describe_error
from jobfleet_worker.handlers.log_capture import captured_in_process
from jobfleet_worker.handlers.open_hooks import OpenHooks, started
from jobfleet_worker.handlers.outcomes import HandlerOutcome, outcome_of_call
from jobfleet_worker.handlers.registry import Handler, Handlers, handlers_in, hooks_at
from jobfleet_worker.processes.job_bounds import JobBounds
from jobfleet_worker.processes.loop_thread import LoopThread
from jobfleet_worker.tracing import Origin
from jobfleet_worker.used_memory import used_memory_mb


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolSetUp:
    """What each process of a pool begins with.

    Attributes:
        modules: those of the handlers; imported before the first job.
        hook_modules: those of hooks, which are imported first.
        main: file of the worker's ``__main__``, if that holds handlers.
        argv: the worker's arguments.
        set_up: called first, to log as the worker does.
        max_jobs: how many jobs it runs before it is replaced.
        max_mib: once it holds more memory after a job, it is replaced; ``None``: no limit.
    """

    modules: tuple[str, ...] = ()
    hook_modules: tuple[str, ...] = ()
    main: str | None = None
    argv: tuple[str, ...] = ()
    set_up: Callable[[], None] | None = None
    max_jobs: int = 100
    max_mib: int | None = None


@dataclass(frozen=True, slots=True)
class ProcessJob:
    """One job for a process.

    Attributes:
        keeps_log: what the handler logs is sent to the worker.
        is_second: it was refused by a process that could not begin: the next one says why.
    """

    module: str
    job_type: str
    payload: Any
    facts: AttemptFacts
    origin: Origin
    keeps_log: bool = False
    is_second: bool = False


class After(Enum):
    """What is to become of a process after a job."""

    REUSE = "reuse"
    REPLACE = "replace"
    END_FIRST = "end first"
    """It has left something running: all of it ends before the job's end is written."""


class RefusedInWorker(Exception):
    """The worker could not keep what the handler reported; raised in the handler's process."""


class PoolProcess:
    """Runs the jobs that come over a connection, until the worker closes that."""

    def __init__(self, pipe: Connection, set_up: PoolSetUp) -> None:
        self._pipe = pipe
        self._set_up = set_up
        self._jobs_left = set_up.max_jobs
        self._loop = LoopThread()
        self._hooks: OpenHooks | None = None
        self._handlers: list[Handler] = []
        self._failures: dict[str, BaseException] = {}
        self._pid = os.getpid()

    def serve(self) -> None:
        """Run jobs on this thread, which is the main one, so that handlers may set signals."""
        if self._set_up.set_up is not None:
            with contextlib.suppress(Exception):  # a log that cannot be opened fails no job
                self._set_up.set_up()
        try:
            self._begin()
        except BaseException as error:  # noqa: BLE001 - a module or a hook may do anything
            self._failures = dict.fromkeys(self._set_up.modules, error)
        bounds = JobBounds.of_now()
        while (job := self._next()) is not None:
            self._run(job, bounds)
        self._end()

    def _begin(self) -> None:
        """Import the modules, then call the start-up hooks: once in the life of the process.

        What they make (connections, threads, children) is shared by all jobs of the process.
        """
        if self._set_up.main is not None:
            spawn.import_main_path(self._set_up.main)
        hooks = hooks_at(self._set_up.hook_modules)
        for module in self._set_up.modules:
            try:
                self._handlers += handlers_in(module, hooks)
            except BaseException as error:  # noqa: BLE001 - it fails the jobs of this module alone
                self._failures[module] = error
        wanted = Handlers(self._handlers, hooks=hooks).wanted(in_process=True)
        self._hooks = self._loop.call(started(OpenHooks(hooks, wanted)))

    def _end(self) -> None:
        """Call the shutdown hooks. The worker waits for them, but kills a process that hangs."""
        if self._hooks is not None:
            self._loop.call(self._hooks.stop())
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()

    def _run(self, job: ProcessJob, bounds: JobBounds) -> None:
        context = _PipeContext(job.facts, self._pipe)
        failure = self._failures.get(job.module)
        if failure is not None:
            # What a process met when it was warmed up may be long over: a new one tries again.
            failed = AttemptFailed(describe_error(failure)) if job.is_second else None
            context.end(failed, After.REPLACE)
            return
        with contextlib.suppress(OSError):
            self._pipe.send(("begun",))
        outcome = bounds.variables.copy().run(self._outcome, job, context, bounds)
        if os.getpid() != self._pid:  # a fork of the handler's came back from it
            os._exit(0)
        context.end(outcome, self._after(bounds))

    def _next(self) -> ProcessJob | None:
        try:
            job: ProcessJob = self._pipe.recv()
        except (EOFError, OSError):
            return None
        return job

    def _outcome(self, job: ProcessJob, context: _PipeContext, bounds: JobBounds) -> HandlerOutcome:
        if not bounds.has_folder:
            message = "the worker's working folder was deleted: start the worker in another one"
            return AttemptFailed(JobError("WorkingFolderDeleted", message))
        job.origin.adopt()
        declared = next(
            each
            for each in self._handlers
            if each.module == job.module and each.job_type == job.job_type
        )
        assert self._hooks is not None
        keep = context.keep if job.keeps_log else None
        with captured_in_process(keep, job.facts.attempt):
            return outcome_of_call(declared, job.payload, context, self._hooks, self._loop.loop)

    def _after(self, bounds: JobBounds) -> After:
        self._jobs_left -= 1
        is_left_alone = bounds.is_left_alone()
        try:
            is_restored = bounds.restore()
        except Exception:  # noqa: BLE001 - what cannot be undone must not meet another job
            return After.END_FIRST
        if not is_left_alone:
            return After.END_FIRST
        if not is_restored or bounds.has_daemons() or self._jobs_left <= 0:
            return After.REPLACE
        limit = self._set_up.max_mib
        return After.REUSE if limit is None or used_memory_mb() <= limit else After.REPLACE


class _PipeContext(BlockingJobContext):
    """The process's side of progress, checkpoints and log lines."""

    def __init__(self, facts: AttemptFacts, pipe: Connection) -> None:
        ContextFacts.__init__(self, facts=facts)
        self._pipe = pipe
        self._pid = os.getpid()
        self._one_call = threading.Lock()
        self._has_ended = False
        self._lines: deque[bytes] = deque()
        self._bytes_left = MAX_LOG_BYTES

    def keep(self, line: bytes) -> bool:
        """Send a log line as soon as no other call is under way; it is never waited for."""
        if self._has_ended or self._bytes_left <= 0 or os.getpid() != self._pid:
            return False  # a fork of the handler's shares the connection: it would break a message
        self._bytes_left -= len(line)
        self._lines.append(line)
        while self._lines and self._one_call.acquire(blocking=False):
            try:
                self._send_lines()
            finally:
                self._one_call.release()
        return True

    def _send_lines(self) -> None:
        """Send what waits; with the lock held."""
        with contextlib.suppress(OSError, EOFError):
            while self._lines:
                self._pipe.send(("log", self._lines.popleft()))

    def end(self, outcome: HandlerOutcome | None, after: After) -> None:
        """Tell how the handler ended; threads that it has left are refused from here on."""
        if isinstance(outcome, AttemptFailed):
            outcome = replace(outcome, cause=None)  # a user's error may not survive pickling
        with self._one_call:
            self._send_lines()
            self._has_ended = True
            try:
                self._pipe.send(("outcome", outcome, after))
            except (OSError, EOFError):  # the handler has closed it: the exit says all that is left
                sys.exit(1)
            except Exception as error:  # noqa: BLE001 - it cannot be sent, as what is nested too deep
                failed = AttemptFailed(describe_error(error), final=True)
                self._pipe.send(("outcome", failed, after))

    def _tell(self, kind: Literal["progress", "checkpoint"], *values: Any) -> None:
        # If two threads sent at once, one would read the other's answer.
        with self._one_call:
            if self._has_ended:  # the connection speaks of the next job by now
                raise RefusedInWorker("the attempt has ended")
            self._send_lines()  # before: what was logged first is seen first
            self._pipe.send((kind, *values))
            refused = self._pipe.recv()
            self._send_lines()
        if refused is not None:
            raise RefusedInWorker(refused)
