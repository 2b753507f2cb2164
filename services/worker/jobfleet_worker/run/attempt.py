"""One run of one handler, from its start to the value that says how it ended."""

from __future__ import annotations

import asyncio
from enum import Enum

from jobfleet_contracts.outcome import (
    AttemptFailed,
    AttemptTimedOut,
    CancelledByRequest,
    Completed,
    HandedBack,
    JobError,
    Lost,
    Outcome,
    Waiting,
)
from jobfleet_worker.handlers.outcomes import HandlerOutcome
from jobfleet_worker.handlers.runners import Runner


class Stop(Enum):
    """Why a running handler is told to stop; the first reason counts."""

    CANCEL = "cancel"
    TIME_LIMIT = "time limit"
    LEASE_LOST = "lease lost"
    SHUTDOWN = "shutdown"


class Attempt:
    """Runs a handler under a time limit and can be stopped for one of four reasons.

    Attributes:
        finished: set when the handler has really ended, which an abandoned one may do late.
    """

    def __init__(self, *, limit_seconds: float, grace_seconds: float) -> None:
        self._limit_seconds = limit_seconds
        self._grace_seconds = grace_seconds
        self._runner: Runner | None = None
        self._stop: Stop | None = None
        self._stop_text = ""
        self._timers: list[asyncio.TimerHandle] = []
        self._verdict = asyncio.Event()
        self.finished = asyncio.Event()

    @property
    def is_stopping(self) -> bool:
        """Whether a reason to stop has been given."""
        return self._stop is not None

    @property
    def has_started(self) -> bool:
        """Whether the handler was started."""
        return self._runner is not None

    async def run(self, runner: Runner) -> Outcome:
        """Run to the end, or to the end of the grace period after a stop.

        A handler that was told to stop before it started is not started.
        """
        if self._stop is not None:
            return self._stopped(self._stop, abandoned=False)
        self._runner = runner
        loop = asyncio.get_running_loop()
        self._timers.append(loop.call_later(self._limit_seconds, self.stop, Stop.TIME_LIMIT))
        ending = runner.start()
        ending.add_done_callback(self._ended)
        await self._verdict.wait()
        for timer in self._timers:
            timer.cancel()
        return self._judge(ending, runner)

    def stop(self, reason: Stop, text: str = "") -> None:
        """Tell the handler to stop; it is cut off after the grace period."""
        if self._stop is not None or self._verdict.is_set():
            return
        self._stop, self._stop_text = reason, text
        if self._runner is None:
            return
        loop = asyncio.get_running_loop()
        self._timers.append(loop.call_later(self._grace_seconds, self._cut_off, self._runner))
        self._runner.stop()

    def _ended(self, _: asyncio.Future[HandlerOutcome]) -> None:
        self.finished.set()
        self._verdict.set()

    def _cut_off(self, runner: Runner) -> None:
        runner.cut_off()
        loop = asyncio.get_running_loop()
        self._timers.append(loop.call_later(1.0, self._verdict.set))

    def _judge(self, ending: asyncio.Future[HandlerOutcome], runner: Runner) -> Outcome:
        """Judge a stop by our own reason, never by what the handler raised because of it.

        After the time limit no result counts any more; one of a handler that was told to stop for
        another reason counts unless it has seen that.
        """
        ended = None if not ending.done() or ending.cancelled() else ending.result()
        if self._stop is None:
            return ended or AttemptFailed(JobError("CancelledError", "the handler was cancelled"))
        if isinstance(ended, Waiting) and self._stop is not Stop.LEASE_LOST:
            return ended  # the job waits already: what is left to do is to leave it alone
        can_count = self._stop in (Stop.CANCEL, Stop.SHUTDOWN) and not runner.has_noticed
        if isinstance(ended, Completed) and can_count:
            return ended
        return self._stopped(self._stop, abandoned=not ending.done())

    def _stopped(self, reason: Stop, *, abandoned: bool) -> Outcome:
        match reason:
            case Stop.LEASE_LOST:
                return Lost(self._stop_text)
            case Stop.CANCEL:
                return CancelledByRequest(abandoned)
            case Stop.TIME_LIMIT:
                return AttemptTimedOut(self._limit_seconds, abandoned)
            case Stop.SHUTDOWN:
                return HandedBack(abandoned=abandoned)
