"""Which events record how an attempt ended; decided on top of the newest event, in one match."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from jobfleet_contracts.cut_text import cut_text
from jobfleet_contracts.event import Event
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.message import JobDefaults
from jobfleet_contracts.outcome import (
    AttemptFailed,
    AttemptTimedOut,
    CancelledByRequest,
    Completed,
    Deferred,
    HandedBack,
    JobError,
    Lost,
    NotStarted,
    Outcome,
    Waiting,
)
from jobfleet_contracts.ports import Clock
from jobfleet_contracts.state import Status
from jobfleet_contracts.value_coder import NO_CODER, ValueCoder
from jobfleet_protocol.trail.transitions import Change
from jobfleet_worker.run.handler_pause import deferral_data, handler_pause
from jobfleet_worker.run.kept_details import data_of, shortened
from jobfleet_worker.run.unsent import not_sent, stays_waiting


class OutcomeRecord:
    """Decides which events an outcome becomes, for one claimed job."""

    def __init__(
        self,
        *,
        request: JobRequest,
        defaults: JobDefaults,
        clock: Clock,
        coder: ValueCoder = NO_CODER,
        shown: dict[str, Any] | None = None,
    ) -> None:
        """Take what does not depend on the newest event.

        Args:
            shown: long data of a failed attempt as they may be shown; ``None``: to be masked here.
        """
        self._shown = shown
        self._coder = coder
        self._request = request
        self._defaults = defaults
        self._clock = clock

    def changes(
        self, outcome: Outcome, head: Event, *, duration_ms: int, deferrals: int = 0
    ) -> Sequence[Change]:
        """Return the events of an outcome, on top of the newest event; none: nothing to tell.

        What the handler returned or said is encoded, what jobfleet itself says is not.

        Args:
            deferrals: how often the handler deferred the job just before.
        """
        ends = _Ending(worker_id=head.after.worker_id, duration_ms=duration_ms)
        match outcome:
            case Completed(result):
                return [ends(Status.COMPLETED, "", {"result": self._coder.value(result)})]
            case CancelledByRequest(abandoned):
                return [ends(Status.CANCELLED, f"cancelled while it ran{_left_behind(abandoned)}")]
            # Before all that may start the job again: with a cancel request unanswered, the trail
            # refuses a retry.
            case _ if head.after.cancel_requested:
                return [ends(Status.CANCELLED, "cancelled instead of another attempt")]
            case _ if stays_waiting(outcome, head):
                return [] if head.after.sent else [self._not_sent(outcome, head)]
            case AttemptFailed(error, final, retry_after):
                data = data_of(outcome)
                return self._failed(
                    head, ends, error.message, data, final, retry_after, coder=self._coder
                )
            case AttemptTimedOut(limit, abandoned):
                message = f"over its time limit of {limit:g} s{_left_behind(abandoned)}"
                data = {"error": JobError("TimedOut", message).to_json()}
                if attempts_left(head):
                    return self._failed(head, ends, message, data, False, None)
                return [ends(Status.TIMED_OUT, message, data)]
            case Deferred(delay, reason, is_own):
                reason = reason if is_own else self._coder.message(reason)
                due_at = self._clock.now() + handler_pause(delay, deferrals)
                return [ends(Status.DEFERRED, reason, deferral_data(deferrals), due_at=due_at)]
            case HandedBack():
                return [self._handed_back(outcome, head, ends)]
            case NotStarted(reason, data):
                return [ends(Status.DEFERRED, reason, data, due_at=self._clock.now())]
            case Waiting() | Lost():
                return []

    def _not_sent(self, outcome: Outcome, head: Event) -> Change:
        return not_sent(outcome, head, self._coder, shown=self._shown)

    def _handed_back(self, outcome: HandedBack, head: Event, ends: _Ending) -> Change:
        message = f"{outcome.reason}{_left_behind(outcome.abandoned)}"
        if outcome.began and head.after.max_takeovers == 0:
            message = f"{message}; it may not start again: what it did is not known"
            return ends(
                Status.FAILED, message, {"error": JobError("WorkerStopped", message).to_json()}
            )
        return ends(Status.DEFERRED, message, {"reason": "shutdown"}, due_at=self._clock.now())

    def _failed(
        self,
        head: Event,
        ends: _Ending,
        message: str,
        data: dict[str, Any],
        final: bool,
        retry_after: timedelta | None,
        coder: ValueCoder = NO_CODER,
    ) -> Sequence[Change]:
        if final or not attempts_left(head):
            return [ends(Status.FAILED, coder.message(message), coder.details(data))]
        used = head.after.attempts_used + 1
        delay = retry_after
        if delay is None:
            delay = retry_delay(self._request, self._defaults, used)
        due_at = self._clock.now() + delay
        seconds = round(delay.total_seconds(), 3)
        kept = coder.details(shortened(data, sequence=head.sequence, shown=self._shown))
        after = coder.message(_first_line(message))
        return [
            ends(Status.ATTEMPT_FAILED, coder.message(message), kept, due_at=due_at),
            Change(
                kind=Status.RETRY_SCHEDULED,
                worker_id=head.after.worker_id,
                due_at=due_at,
                message=f"retry {used} of {head.after.max_attempts - 1}, after: {after}",
                data={"delaySeconds": seconds},
            ),
        ]


def _first_line(message: str) -> str:
    """Return the error as lists of jobs show it: their newest event is the retry."""
    return cut_text(message.split(chr(10), 1)[0], 300)


class _Ending:
    """Makes the ending's changes with what they share."""

    def __init__(self, *, worker_id: str | None, duration_ms: int) -> None:
        self._worker_id = worker_id
        self._duration_ms = duration_ms

    def __call__(
        self,
        kind: Status,
        message: str,
        data: dict[str, Any] | None = None,
        *,
        due_at: datetime | None = None,
    ) -> Change:
        return Change(
            kind=kind,
            worker_id=self._worker_id,
            message=message,
            duration_ms=self._duration_ms,
            due_at=due_at,
            data=data or {},
        )


def attempts_left(head: Event) -> bool:
    """Return whether another attempt may follow the one that runs."""
    return head.after.attempts_used + 1 < head.after.max_attempts


def _left_behind(abandoned: bool) -> str:
    return "; the handler did not stop and was left behind" if abandoned else ""


def retry_delay(request: JobRequest, defaults: JobDefaults, failures: int) -> timedelta:
    """Return how long to wait after the ``failures``-th failed attempt.

    Uniform between zero and the doubled base, capped: the "full jitter" of the AWS architecture
    blog, which spreads a crowd of failures best.
    """
    base = request.retry_delay_seconds
    if base is None:
        base = defaults.retry_delay_seconds
    ceiling = min(base * 2.0 ** (failures - 1), defaults.retry_max_seconds)
    return timedelta(seconds=random.uniform(0, ceiling))
