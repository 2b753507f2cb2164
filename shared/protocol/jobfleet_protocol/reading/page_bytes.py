"""Pages of events end by their size, not by their number alone: one event may hold 30,000 bytes."""

from __future__ import annotations

from collections.abc import Sequence

from jobfleet_contracts.codec import encode
from jobfleet_contracts.event import Event

MAX_PAGE_BYTES = 1024 * 1024
"""Size of events or attempts as JSON; a page ends with the one that reaches it."""
_FIELD_BYTES = 700
"""Names and short values of an event in JSON."""


def first_of_page(events: Sequence[Event]) -> Sequence[Event]:
    """Return as many events from the first one on as fill a page."""
    return events[: _count(events)]


def last_of_page(events: Sequence[Event]) -> Sequence[Event]:
    """Return as many events up to the last one as fill a page."""
    return events[len(events) - _count(events[::-1]) :]


def _count(events: Sequence[Event]) -> int:
    size = 0
    for number, event in enumerate(events, 1):
        size += _FIELD_BYTES + len(event.message)
        size += len(encode(event.data)) if event.data else 0
        if size >= MAX_PAGE_BYTES:
            return number
    return len(events)
