"""The runs of a job: who, how long, and how each ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from jobfleet_contracts.event import Event
from jobfleet_contracts.state import Status
from jobfleet_dashboard.views.durations import seconds_between, spell, spell_ms

_ENDINGS = {
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
    ended_at: datetime | None = None
    duration: str = ""
    tone: str = "running"
    ending: str = "running"
    error: str = ""
    traceback: str = ""


def attempt_rows(events: Sequence[Event]) -> tuple[AttemptRow, ...]:
    """Return the attempts of a history, first one first."""
    rows: list[AttemptRow] = []
    for event in events:
        if event.kind is Status.STARTED:
            after = event.after
            rows.append(AttemptRow(after.attempt, after.epoch, after.worker_id, event.occurred_at))
        elif rows and rows[-1].ended_at is None:
            rows[-1] = _advance(rows[-1], event)
    return tuple(rows)


def _advance(row: AttemptRow, event: Event) -> AttemptRow:
    if event.kind is Status.WAITING:
        return replace(row, tone="waiting", ending="waiting for a callback")
    if event.kind not in _ENDINGS:
        return row
    tone, ending = _ENDINGS[event.kind]
    error = event.data.get("error")
    described = error if isinstance(error, dict) else {}
    span = seconds_between(row.started_at, event.occurred_at)
    return replace(
        row,
        ended_at=event.occurred_at,
        duration=spell_ms(event.duration_ms) or spell(span),
        tone=tone,
        ending=ending,
        error=_one_line(described, event),
        traceback=str(described.get("traceback") or ""),
    )


def _one_line(error: dict[str, object], event: Event) -> str:
    if error:
        return f"{error.get('type', 'Error')}: {error.get('message', '')}"
    return "" if event.kind is Status.COMPLETED else event.message
