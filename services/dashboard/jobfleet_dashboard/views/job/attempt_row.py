"""The runs of a job: who, how long, and how each ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from jobfleet_contracts.event import Event
from jobfleet_contracts.state import Status
from jobfleet_protocol.reading.attempts import Attempt, attempts_of
from jobfleet_protocol.reading.durations import seconds_between, spell, spell_ms

_ENDINGS: Mapping[Status | None, tuple[str, str]] = {
    None: ("running", "running"),
    Status.COMPLETED: ("completed", "completed"),
    Status.FAILED: ("failed", "failed"),
    Status.ATTEMPT_FAILED: ("failed", "failed"),
    Status.TIMED_OUT: ("timedOut", "timed out"),
    Status.CANCELLED: ("cancelled", "cancelled"),
    Status.DEFERRED: ("deferred", "handed back"),
    Status.TAKEN_OVER: ("retrying", "lost, taken over"),
}


@dataclass(frozen=True, slots=True)
class AttemptRow:
    """One run of the handler.

    Attributes:
        ended_at: ``None`` while it runs or waits for a callback.
        tone: state whose colour the ending wears.
        error: one line, empty for none.
        traceback: the whole text of it, empty for none.
    """

    attempt: int
    epoch: int
    worker_id: str | None
    started_at: datetime
    ended_at: datetime | None
    duration: str
    tone: str
    ending: str
    error: str
    traceback: str


def attempt_rows(events: Sequence[Event]) -> tuple[AttemptRow, ...]:
    """Return the attempts of a history, first one first."""
    return tuple(_row(attempt) for attempt in attempts_of(events))


def _row(attempt: Attempt) -> AttemptRow:
    tone, ending = _ENDINGS[attempt.ending]
    if attempt.waiting:
        tone, ending = "waiting", "waiting for a callback"
    error = attempt.error if isinstance(attempt.error, Mapping) else {}
    return AttemptRow(
        attempt=attempt.attempt_number,
        epoch=attempt.epoch,
        worker_id=attempt.worker_id,
        started_at=attempt.started_at,
        ended_at=attempt.ended_at,
        duration=_duration(attempt),
        tone=tone,
        ending=ending,
        error=_one_line(error, attempt),
        traceback=str(error.get("traceback") or ""),
    )


def _duration(attempt: Attempt) -> str:
    if attempt.ended_at is None:
        return ""
    span = seconds_between(attempt.started_at, attempt.ended_at)
    return spell_ms(attempt.duration_ms) or spell(span)


def _one_line(error: Mapping[str, object], attempt: Attempt) -> str:
    if error:
        return f"{error.get('type', 'Error')}: {error.get('message', '')}"
    return "" if attempt.ending is Status.COMPLETED else attempt.message
