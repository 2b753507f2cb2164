"""The history of a job on its page: lifecycle events, with the steps between them folded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jobfleet_contracts.event import Event
from jobfleet_dashboard.views.event_row import EventRow, event_row
from jobfleet_protocol.reading.job_record import JobRecord

SHOWN_LIFECYCLE = 250
"""Lifecycle events on one page."""
SHOWN_STEPS = 20
"""Steps of one fold on the page; a fold with no more than these is open at first."""


@dataclass(frozen=True, slots=True)
class StepsRow:
    """Steps in a row, as one line.

    Attributes:
        after: sequence of the lifecycle event before them; names the fold.
        rows: the newest of them, oldest first; empty if they are too old to be at hand.
    """

    after: int
    count: int
    rows: tuple[EventRow, ...]

    @property
    def first(self) -> int:
        """Sequence of the first step."""
        return self.after + 1

    @property
    def last(self) -> int:
        """Sequence of the newest step."""
        return self.after + self.count

    @property
    def is_short(self) -> bool:
        """Whether the page shows all of them."""
        return self.count <= SHOWN_STEPS


HistoryItem = EventRow | StepsRow


def history_items(record: JobRecord) -> tuple[HistoryItem, ...]:
    """Return the lines of the history, oldest first, from the oldest lifecycle event shown."""
    lifecycle = record.lifecycle[-SHOWN_LIFECYCLE:]
    known = {event.sequence: event for event in record.events}
    ends = [event.sequence for event in lifecycle[1:]] + [record.last_sequence + 1]
    items: list[HistoryItem] = []
    for event, end in zip(lifecycle, ends, strict=True):
        items.append(event_row(event, known.get(event.sequence - 1), details=True))
        count = end - event.sequence - 1
        if count:
            items.append(StepsRow(event.sequence, count, _steps(known, event.sequence, end)))
    return tuple(items)


def items_after(items: Sequence[HistoryItem], sequence: int) -> tuple[HistoryItem, ...]:
    """Return the lines that hold anything newer than ``sequence``."""
    return tuple(item for item in items if _newest_of(item) > sequence)


def is_known(item: HistoryItem, sequence: int) -> bool:
    """Whether a page that shows the history up to ``sequence`` has this line already."""
    return isinstance(item, StepsRow) and item.first <= sequence


def _newest_of(item: HistoryItem) -> int:
    return item.last if isinstance(item, StepsRow) else item.sequence


def _steps(known: dict[int, Event], after: int, end: int) -> tuple[EventRow, ...]:
    first = max(after + 1, end - SHOWN_STEPS)
    return tuple(
        event_row(known[number], known.get(number - 1), details=True)
        for number in range(first, end)
        if number in known
    )
