"""Folds a job's events into its attempts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from jobfleet_contracts.codec import format_optional_time, format_time
from jobfleet_contracts.event import Event
from jobfleet_contracts.state import Status

_ENDINGS: Mapping[Status, bool | None] = {
    Status.COMPLETED: True,
    Status.ATTEMPT_FAILED: False,
    Status.FAILED: False,
    Status.TIMED_OUT: False,
    Status.CANCELLED: False,
    Status.TAKEN_OVER: False,
    Status.DEFERRED: None,
}
_WORDS = {Status.TAKEN_OVER: "WorkerLost", Status.TIMED_OUT: "TimedOut", Status.FAILED: "Failed"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One run of the handler.

    Attributes:
        attempt_number: from 1; a run that was lost or handed back is followed by another with
            the same number and a higher epoch.
        opened: sequence of its ``Started``; ``closed``: that of its ending, ``None`` while it runs.
        waiting: it waits for a third party's callback.
        ending: the status that ended it, ``None`` while it runs.
        message: the ending's message, for people.
        succeeded: ``None`` while it runs, and if it was handed back or deferred.
        error: ``{"type","message","traceback"}``.
        response: the HTTP target's answer, for jobs that call one.
    """

    attempt_number: int
    worker_id: str | None
    epoch: int
    started_at: datetime
    opened: int
    closed: int | None = None
    waiting: bool = False
    ending: Status | None = None
    message: str = ""
    ended_at: datetime | None = None
    duration_ms: int | None = None
    succeeded: bool | None = None
    error: Any = None
    response: Any = None

    @classmethod
    def started(cls, event: Event) -> Attempt:
        """Begin with a ``Started``."""
        return cls(
            attempt_number=event.after.attempt,
            worker_id=event.worker_id,
            epoch=event.after.epoch,
            started_at=event.occurred_at,
            opened=event.sequence,
        )

    def ended(self, event: Event) -> Attempt:
        """Close it with its ending; resolve the event's data first."""
        span = (event.occurred_at - self.started_at).total_seconds() * 1000
        return replace(
            self,
            closed=event.sequence,
            waiting=False,
            ending=event.kind,
            message=event.message,
            ended_at=event.occurred_at,
            duration_ms=round(max(span, 0.0)) if event.duration_ms is None else event.duration_ms,
            succeeded=_ENDINGS[event.kind],
            error=error_of(event),
            response=response_of(event),
        )

    def to_json(self) -> dict[str, Any]:
        """Return one item of ``/logs``."""
        return {
            "attemptNumber": self.attempt_number,
            "workerId": self.worker_id,
            "epoch": self.epoch,
            "startedAt": format_time(self.started_at),
            "endedAt": format_optional_time(self.ended_at),
            "durationMs": self.duration_ms,
            "succeeded": self.succeeded,
            "error": self.error,
            "statusCode": _status_code(self.response),
            "response": self.response,
        }


def attempts_of(events: Iterable[Event]) -> list[Attempt]:
    """Return the attempts of a history, first one first; rows that cannot be read are passed by."""
    attempts: list[Attempt] = []
    for event in events:
        if not event.is_readable:
            continue
        if event.kind is Status.STARTED:
            attempts.append(Attempt.started(event))
        elif attempts and attempts[-1].closed is None:
            attempts[-1] = _advance(attempts[-1], event)
    return attempts


def ends_attempt(event: Event) -> bool:
    """Whether an open attempt is closed by this event."""
    return event.is_readable and event.kind in _ENDINGS


def error_of(event: Event) -> Any:
    """Return ``{"type","message","traceback"}``, ``None`` if the event tells of no error."""
    error = event.data.get("error")
    if error is None and event.kind in _WORDS:
        return {"type": _WORDS[event.kind], "message": event.message, "traceback": None}
    if error is None or isinstance(error, Mapping):
        return error
    return {"type": "", "message": str(error), "traceback": None}  # the row was edited by hand


def response_of(event: Event) -> Any:
    """Return the HTTP target's answer, ``None`` for jobs that call none."""
    response = event.data.get("response")
    if response is None and event.kind is Status.COMPLETED and _calls_http(event):
        return event.data.get("result")
    return response


def _advance(attempt: Attempt, event: Event) -> Attempt:
    if ends_attempt(event):
        return attempt.ended(event)
    return replace(attempt, waiting=attempt.waiting or event.kind is Status.WAITING)


def _calls_http(event: Event) -> bool:
    return event.facts.job_type in ("http.request", "callback.deliver")


def _status_code(response: Any) -> int | None:
    if not isinstance(response, Mapping):
        return None
    code = response.get("statusCode", response.get("status"))
    return code if isinstance(code, int) else None
