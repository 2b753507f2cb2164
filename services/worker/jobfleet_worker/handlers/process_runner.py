"""Runs a handler in a warm process of the pool, which cancel and time-out kill.

Progress and checkpoints come back over a connection; a checkpoint waits until the worker has
written it. What a handler leaves running ends before the job's end is written.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from dataclasses import replace
from typing import Any

from jobfleet_contracts.outcome import AttemptFailed, JobError
from jobfleet_worker.handlers.context import AttemptFacts, ProgressSink
from jobfleet_worker.handlers.described_error import describe_error
from jobfleet_worker.handlers.log_capture import Keep
from jobfleet_worker.handlers.outcomes import HandlerOutcome
from jobfleet_worker.handlers.registry import Handler
from jobfleet_worker.processes.pool import ProcessLost, ProcessPool, WarmProcess
from jobfleet_worker.processes.pool_process import After, ProcessJob
from jobfleet_worker.tracing import Origin


class ProcessRunner:
    """One attempt in one process of the pool."""

    def __init__(
        self,
        handler: Handler,
        payload: Any,
        facts: AttemptFacts,
        sink: ProgressSink,
        pool: ProcessPool,
        keep: Keep | None = None,
    ) -> None:
        self._job = ProcessJob(
            handler.module,
            handler.job_type,
            payload,
            facts,
            Origin.here(facts.job),
            keeps_log=keep is not None,
        )
        self._keep = keep
        self._sink = sink
        self._pool = pool
        self._process: WarmProcess | None = None
        self._stopped = False
        self._guard = threading.Lock()

    def start(self) -> asyncio.Future[HandlerOutcome]:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[HandlerOutcome] = loop.create_future()
        threading.Thread(
            target=self._attend,
            args=(loop, future),
            name=f"handler-{self._job.facts.job.job_id}",
            daemon=True,
        ).start()
        return future

    def stop(self) -> None:
        with self._guard:
            self._stopped = True
            if self._process is not None:
                self._process.signal(signal.SIGTERM)

    def cut_off(self) -> None:
        with self._guard:
            if self._process is not None:
                self._process.kill()

    @property
    def has_noticed(self) -> bool:
        return False

    @property
    def end_seconds(self) -> float:
        # A killed group ends. On a busy machine that takes its time, and an end of the job that
        # is written before would let the next attempt run beside what is left of this one.
        return 30.0

    def _attend(
        self, loop: asyncio.AbstractEventLoop, future: asyncio.Future[HandlerOutcome]
    ) -> None:
        try:
            outcome = self._run(loop)
        except Exception as error:  # noqa: BLE001 - whatever happens here, the attempt must end
            outcome = AttemptFailed(describe_error(error))
        with contextlib.suppress(RuntimeError):  # the loop is closed: the worker has gone
            loop.call_soon_threadsafe(self._resolve, future, outcome)

    def _resolve(self, future: asyncio.Future[HandlerOutcome], outcome: HandlerOutcome) -> None:
        # Here, not at the job's end: the next one is claimed while this end is written.
        self._pool.free_place(self._job.facts.job.job_id)
        if not future.done():
            future.set_result(outcome)

    def _run(self, loop: asyncio.AbstractEventLoop) -> HandlerOutcome:
        """Run the job; if a warm process has not begun with it, in a new one."""
        outcome = self._run_in(self._pool.take(), self._job, loop)
        if outcome is None:
            job = replace(self._job, is_second=True)
            outcome = self._run_in(self._pool.take(is_new=True), job, loop)
        assert outcome is not None
        return outcome

    def _run_in(
        self, process: WarmProcess, job: ProcessJob, loop: asyncio.AbstractEventLoop
    ) -> HandlerOutcome | None:
        after = After.END_FIRST
        try:
            with self._guard:
                if self._stopped:  # the reason of the stop is the outcome
                    after = After.REUSE
                    return AttemptFailed(JobError("CancelledError", "stopped before its start"))
                self._process = process
            outcome, after = self._listen(process, job, loop)
        except ProcessLost as lost:
            if not process.has_begun and not job.is_second:
                return None  # it ended while it was idle
            return AttemptFailed(JobError("ProcessDied", str(lost)))
        finally:
            with self._guard:
                if self._stopped and self._process is not None:
                    # The signal may reach it after its job: the next one must not meet it.
                    after = After.END_FIRST
                if after is not After.END_FIRST:
                    self._process = None
            self._pool.release(process, after)
            with self._guard:
                self._process = None  # until here it can be cut off
        return outcome

    def _listen(
        self, process: WarmProcess, job: ProcessJob, loop: asyncio.AbstractEventLoop
    ) -> tuple[HandlerOutcome | None, After]:
        """Answer the process until it tells the outcome.

        Raises:
            ProcessLost: it ended without one.
        """
        with contextlib.suppress(OSError):  # it has ended: what follows says how
            process.send(job)
        while True:
            kind, *values = process.receive()
            if kind == "outcome":
                outcome, after = values
                return outcome, after
            if kind == "begun":
                process.has_begun = True
                continue
            if kind == "log":
                if self._keep is not None:
                    self._keep(values[0])
                continue
            with contextlib.suppress(OSError):
                process.send(self._report(loop, kind, values))

    def _report(self, loop: asyncio.AbstractEventLoop, kind: str, values: list[Any]) -> str | None:
        """Keep a step or a checkpoint; returns why that could not be done."""
        call = getattr(self._sink, kind)(*values)
        try:
            asyncio.run_coroutine_threadsafe(call, loop).result()
        except Exception as error:  # noqa: BLE001 - it is the handler's to deal with
            return str(error)
        return None
