"""One run of one handler, from its start to the value that says how it ended."""

from __future__ import annotations

import asyncio
from asyncio import FIRST_COMPLETED
from enum import Enum
from typing import Any

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
    """Why a running handler has to stop; the first reason counts."""

    CANCEL = "cancel"
    TIME_LIMIT = "time limit"
    LEASE_LOST = "lease lost"
    SHUTDOWN = "shutdown"


class Attempt:
    """Runs a handler under a time limit and can be stopped for one of four reasons."""

    def __init__(self, *, limit_seconds: float, grace_seconds: float) -> None:
        self._limit_seconds = limit_seconds
        self._grace_seconds = grace_seconds
        self._runner: Runner | None = None
        self._stop: Stop | None = None
        self._stop_text = ""
        self._timers: list[asyncio.TimerHandle] = []
        self._result: asyncio.Future[HandlerOutcome] | None = None
        self._abandoned: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def is_stopping(self) -> bool:
        """Whether a reason to stop has been given."""
        return self._stop is not None

    @property
    def unfinished(self) -> asyncio.Future[HandlerOutcome] | None:
        """The end of a handler that still runs, as an abandoned one may; ``None``: none runs."""
        return None if self._result is None or self._result.done() else self._result

    async def run(self, runner: Runner) -> Outcome:
        """Run to the end, or to the end of the grace period after a stop.

        A handler that has to stop before it started is not started.
        """
        if self._stop is not None:
            return self._stopped(self._stop, abandoned=False, began=False)
        loop = asyncio.get_running_loop()
        # The timer comes before the start: a handler that runs always has its limit.
        self._timers.append(loop.call_later(self._limit_seconds, self.stop, Stop.TIME_LIMIT))
        try:
            self._result = runner.start()
            self._runner = runner
            # No callbacks of ours between the handler's end and this line: one that failed
            # would leave the attempt waiting for its time limit.
            ends: list[asyncio.Future[Any]] = [self._result, self._abandoned]
            await asyncio.wait(ends, return_when=FIRST_COMPLETED)
        finally:
            for timer in self._timers:
                timer.cancel()
        return self._judge(self._result, runner)

    def stop(self, reason: Stop, text: str = "") -> None:
        """Tell the handler to stop; it is cut off after the grace period."""
        if self._stop is not None or (self._result is not None and self._result.done()):
            return
        self._stop, self._stop_text = reason, text
        if self._runner is None:
            return
        loop = asyncio.get_running_loop()
        self._timers.append(loop.call_later(self._grace_seconds, self._cut_off, self._runner))
        self._runner.stop()

    def _cut_off(self, runner: Runner) -> None:
        loop = asyncio.get_running_loop()
        self._timers.append(loop.call_later(runner.end_seconds, self._abandon))
        runner.cut_off()

    def _abandon(self) -> None:
        if not self._abandoned.done():
            self._abandoned.set_result(None)

    def _judge(self, ending: asyncio.Future[HandlerOutcome], runner: Runner) -> Outcome:
        """Judge a stop by our own reason, never by what the handler raised because of it.

        After the time limit no result counts. After another reason a result counts, unless the
        handler has noticed that it has to stop.
        """
        ended = None if not ending.done() or ending.cancelled() else ending.result()
        if self._stop is None:
            return ended or AttemptFailed(JobError("CancelledError", "the handler was cancelled"))
        if isinstance(ended, Waiting) and self._stop is not Stop.LEASE_LOST:
            return ended  # the job waits already: what is left to do is to leave it alone
        can_count = self._stop in (Stop.CANCEL, Stop.SHUTDOWN) and not runner.has_noticed
        if isinstance(ended, Completed) and can_count:
            return ended
        return self._stopped(self._stop, abandoned=not ending.done(), began=True)

    def _stopped(self, reason: Stop, *, abandoned: bool, began: bool) -> Outcome:
        match reason:
            case Stop.LEASE_LOST:
                return Lost(self._stop_text)
            case Stop.CANCEL:
                return CancelledByRequest(abandoned)
            case Stop.TIME_LIMIT:
                return AttemptTimedOut(self._limit_seconds, abandoned)
            case Stop.SHUTDOWN:
                return HandedBack(abandoned=abandoned, began=began)
