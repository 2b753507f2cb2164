"""A job's life cut into spans of one kind, from its events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from jobfleet_contracts.event import Event
from jobfleet_contracts.state import State, Status

_MARKS = {
    Status.DEFERRED: "deferral",
    Status.TAKEN_OVER: "takeover",
    Status.CANCEL_REQUESTED: "cancel",
    Status.REDRIVEN: "redrive",
}


@dataclass(frozen=True, slots=True)
class Span:
    """Time in one state.

    Attributes:
        end: ``None`` while it lasts.
        attempt: that it leads to or belongs to, from 1.
    """

    state: State
    start: datetime
    end: datetime | None
    attempt: int
    epoch: int
    worker_id: str | None


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment worth a sign: ``deferral``, ``takeover``, ``cancel`` or ``redrive``."""

    kind: str
    at: datetime
    message: str
    row: int


@dataclass(frozen=True, slots=True)
class SpanRow:
    """The waiting and the running that belong to one claim, and how it ended."""

    spans: tuple[Span, ...]
    marks: tuple[Mark, ...]

    @property
    def worker_id(self) -> str | None:
        """Who ran it; ``None`` before a claim."""
        return next((s.worker_id for s in self.spans if s.state is State.RUNNING), None)

    @property
    def attempt(self) -> int:
        """The attempt that this claim is, or leads to."""
        return self.spans[-1].attempt if self.spans else 1


def span_rows(events: Sequence[Event]) -> tuple[SpanRow, ...]:
    """Return one row per claim: a new row begins when a running or waiting job lets go."""
    rows: list[list[Span]] = [[]]
    marks: list[Mark] = []
    for event, follower in zip(events, [*events[1:], None], strict=True):
        if _begins_row(event, rows[-1]):
            rows.append([])
        _extend(rows[-1], event, follower)
        kind = _MARKS.get(event.kind)
        if kind is not None:
            marks.append(Mark(kind, event.occurred_at, event.message, len(rows) - 1))
    numbered = enumerate(rows)
    return tuple(
        SpanRow(tuple(row), tuple(m for m in marks if m.row == index)) for index, row in numbered
    )


def _begins_row(event: Event, row: Sequence[Span]) -> bool:
    held = bool(row) and row[-1].state in (State.RUNNING, State.WAITING)
    if not held:
        return bool(row) and event.kind is Status.REDRIVEN
    lets_go = event.after.state not in (State.RUNNING, State.WAITING)
    return (lets_go and not event.after.state.is_terminal) or event.kind is Status.TAKEN_OVER


def _extend(row: list[Span], event: Event, follower: Event | None) -> None:
    after = event.after
    if after.state.is_terminal:
        return
    end = follower.occurred_at if follower else None
    attempt = after.attempt if after.state is State.RUNNING else after.attempts_used + 1
    previous = row[-1] if row else None
    if previous and previous.state is after.state and event.kind is not Status.STARTED:
        row[-1] = Span(
            previous.state, previous.start, end, previous.attempt, previous.epoch, after.worker_id
        )
        return
    row.append(Span(after.state, event.occurred_at, end, attempt, after.epoch, after.worker_id))
