"""One run of one handler, from its start to the value that says how it ended."""

from __future__ import annotations

import asyncio
import sys
import traceback
from enum import Enum
from typing import Any

from jobfleet_contracts.codec import encodable
from jobfleet_contracts.errors import InvalidRequest
from jobfleet_contracts.job import check_json
from jobfleet_contracts.outcome import (
    AttemptFailed,
    AttemptTimedOut,
    CancelledByRequest,
    Completed,
    Deferred,
    HandedBack,
    JobError,
    Lost,
    Outcome,
    Waiting,
)
from jobfleet_worker.handlers.plain_error import details_of, text_of
from jobfleet_worker.handlers.process_runner import HandlerProcessError
from jobfleet_worker.handlers.registry import Handler, to_json
from jobfleet_worker.handlers.runners import Runner
from jobfleet_worker.handlers.verdicts import Defer, Fail, Retry

MAX_TRACEBACK_CHARACTERS = 8_000


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

    def __init__(
        self, *, handler: Handler | None, limit_seconds: float, grace_seconds: float
    ) -> None:
        self._handler = handler
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
        result = runner.start()
        result.add_done_callback(self._ended)
        await self._verdict.wait()
        for timer in self._timers:
            timer.cancel()
        return self._judge(result, runner)

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

    def _ended(self, _: asyncio.Future[Any]) -> None:
        self.finished.set()
        self._verdict.set()

    def _cut_off(self, runner: Runner) -> None:
        runner.cut_off()
        loop = asyncio.get_running_loop()
        self._timers.append(loop.call_later(1.0, self._verdict.set))

    def _judge(self, result: asyncio.Future[Any], runner: Runner) -> Outcome:
        """Judge a cancellation by our own reason to stop, never by the exception's type."""
        abandoned = not result.done()
        returned = not abandoned and not result.cancelled() and result.exception() is None
        if self._stop is not None and runner.has_noticed:
            returned = False
        if returned and self._stop is not Stop.LEASE_LOST:
            return self._completed(result.result())
        if self._stop is None:
            return self._raised(result)
        _retrieve(result)
        return self._stopped(self._stop, abandoned=abandoned)

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

    def _completed(self, value: Any) -> Outcome:
        if isinstance(value, Waiting):
            return value
        try:
            result = to_json(value)
            if result is not None:
                check_json(result, field="result", limit=None)
        except (TypeError, InvalidRequest) as error:
            return AttemptFailed(JobError(type(error).__name__, str(error)))
        return Completed(result)

    def _raised(self, result: asyncio.Future[Any]) -> Outcome:
        if result.cancelled():
            return AttemptFailed(JobError("CancelledError", "the handler cancelled itself"))
        error = result.exception()
        assert error is not None
        return outcome_of(error, self._handler)


def _retrieve(result: asyncio.Future[Any]) -> None:
    """Take note of the exception, so that asyncio does not report it as forgotten."""
    if result.done():
        if not result.cancelled():
            result.exception()
    else:
        result.add_done_callback(lambda late: late.cancelled() or late.exception())


def outcome_of(error: BaseException, handler: Handler | None) -> Outcome:
    """Return how an attempt ends that raised ``error``."""
    match error:
        case Defer():
            return Deferred(error.delay, text_of(error))
        case Fail():
            return AttemptFailed(describe(error), final=True, details=details_of(error))
        case Retry():
            details = details_of(error)
            return AttemptFailed(describe(error), retry_after=error.after, details=details)
        case _:
            return AttemptFailed(describe(error), final=not _worth_a_retry(error, handler))


def _worth_a_retry(error: BaseException, handler: Handler | None) -> bool:
    if handler is None:
        return True
    if isinstance(error, HandlerProcessError):
        names = {f"{kind.__module__}.{kind.__qualname__}" for kind in handler.retry_on}
        return "builtins.Exception" not in error.bases or not names.isdisjoint(error.bases)
    return isinstance(error, handler.retry_on) or not isinstance(error, Exception)


def describe(error: BaseException) -> JobError:
    """Return an error as the trail keeps it; long tracebacks lose their middle."""
    if isinstance(error, HandlerProcessError):
        return JobError(error.type_name, encodable(str(error)), _shorten(error.traceback_text))
    text = "".join(traceback.format_exception(error))
    return JobError(type(error).__name__, text_of(error), _shorten(text))


def _shorten(text: str) -> str:
    text = _relative(encodable(text))
    if len(text) <= MAX_TRACEBACK_CHARACTERS:
        return text
    half = MAX_TRACEBACK_CHARACTERS // 2
    return f"{text[:half]}\n… [cut] …\n{text[-half:]}"


def _relative(text: str) -> str:
    """Name files as imports do: where a host keeps its packages is nobody's business."""
    for folder in sorted({entry for entry in sys.path if len(entry) > 1}, key=len, reverse=True):
        text = text.replace(f'File "{folder}/', 'File "')
    return text
