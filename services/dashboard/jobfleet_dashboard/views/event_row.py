"""One event as a line of a history or a feed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from jobfleet_contracts.event import Event
from jobfleet_contracts.state import State, Status
from jobfleet_dashboard.views.json_text import JsonText, json_text
from jobfleet_protocol.reading.durations import seconds_between, spell, spell_ms

TONES = {
    Status.QUEUED: "queued",
    Status.SCHEDULED: "scheduled",
    Status.DEFERRED: "deferred",
    Status.STARTED: "running",
    Status.STEP: "running",
    Status.WAITING: "waiting",
    Status.SEALED: "waiting",
    Status.ATTEMPT_FAILED: "failed",
    Status.RETRY_SCHEDULED: "retrying",
    Status.TAKEN_OVER: "retrying",
    Status.CANCEL_REQUESTED: "cancelled",
    Status.COMPLETED: "completed",
    Status.FAILED: "failed",
    Status.CANCELLED: "cancelled",
    Status.TIMED_OUT: "timedOut",
    Status.REDRIVEN: "queued",
    Status.DISMISSED: "cancelled",
    Status.ERASED: "cancelled",
}


@dataclass(frozen=True, slots=True)
class EventRow:
    """What a line shows.

    Attributes:
        tone: state whose colour and sign the line wears.
        gap: time since the event before it, empty for the first.
        measured: what ``duration`` is the time of.
        details: what unfolds; ``None`` if there is nothing more to tell.
    """

    event_id: str
    sequence: int
    job_id: str
    job_name: str
    job_type: str
    status: str
    tone: str
    state: State
    message: str
    at: datetime
    attempt: int
    epoch: int
    worker_id: str | None
    duration: str
    gap: str = ""
    details: JsonText | None = None
    measured: str = ""


def event_row(event: Event, previous: Event | None = None, *, details: bool = False) -> EventRow:
    """Return the line of one event; ``details`` unfolds its data."""
    event = event.masked()
    gap = seconds_between(previous.occurred_at, event.occurred_at) if previous else 0.0
    return EventRow(
        event_id=event.event_id,
        sequence=event.sequence,
        job_id=event.job_id,
        job_name=event.facts.job_name,
        job_type=event.facts.job_type,
        status=event.status,
        tone=TONES[event.kind] if event.is_readable else "failed",
        state=event.after.state,
        message=event.message,
        at=event.occurred_at,
        attempt=event.after.attempt,
        epoch=event.after.epoch,
        worker_id=event.worker_id,
        duration=spell_ms(event.duration_ms),
        measured="due for" if event.is_readable and event.kind is Status.STARTED else "handler ran",
        gap=f"+{spell(gap)}" if previous else "",
        details=json_text("data", event.data) if details and event.data else None,
    )


def history_rows(events: Sequence[Event], before: Event | None = None) -> tuple[EventRow, ...]:
    """Return the lines of a history, oldest first, each with the gap to the one before it."""
    earlier = [before, *events[:-1]]
    return tuple(
        event_row(event, previous, details=True)
        for event, previous in zip(events, earlier, strict=True)
    )
