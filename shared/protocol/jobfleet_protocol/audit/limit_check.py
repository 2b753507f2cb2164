"""Rule 9 for named limits: no job starts in a slot above the number that the control log allows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from jobfleet_contracts.control import ControlEntry
from jobfleet_contracts.event import Event
from jobfleet_contracts.lease import MAX_LIMIT_SLOTS, limit_of, slot_of
from jobfleet_contracts.state import Status
from jobfleet_protocol.audit.violation import Violation
from jobfleet_protocol.control.limit_state import Limit

KNOWN = timedelta(minutes=10)
"""A start uses a look that is three heartbeats old at most. But who wrote an entry may have stood
still between its time and its insert."""
SKEW = timedelta(seconds=4)
"""Between the clocks of who set the limit and of the worker."""


@dataclass(frozen=True, slots=True)
class SlotStart:
    """A start in one slot of a named limit."""

    limit: str
    slot: int
    at: datetime
    job_id: str
    sequence: int
    event_id: str


@dataclass(frozen=True, slots=True)
class _Span:
    since: datetime
    until: datetime | None
    slots: int


class LimitCheck:
    """Knows the numbers of slots that each limit had, and when."""

    def __init__(self) -> None:
        self._spans: dict[str, list[_Span]] = {}

    def add(self, log: Sequence[ControlEntry]) -> None:
        """Take the whole log of one limit, oldest entry first; a later call replaces it."""
        following = [*(entry.occurred_at for entry in log[1:]), None]
        self._spans[log[0].name] = [
            _Span(entry.occurred_at, until, _most_slots(entry))
            for entry, until in zip(log, following, strict=True)
        ]

    def doubtful(self, history: Sequence[Event]) -> Iterator[SlotStart]:
        """Yield the starts of a job in slots that its limits did not have, as far as is known.

        In a living fleet a limit may have been raised since its log was read: read it again.
        """
        for event in history:
            if not event.after.locks or event.status != Status.STARTED:
                continue
            for held in event.after.locks:
                limit, slot = limit_of(held.lock), slot_of(held.lock)
                if limit is None or slot is None:
                    continue
                start = SlotStart(
                    limit, slot, event.occurred_at, event.job_id, event.sequence, event.event_id
                )
                if not self.allows(start):
                    yield start

    def allows(self, start: SlotStart) -> bool:
        """Whether the limit had the slot at some time shortly before the start."""
        return any(
            span.slots >= start.slot
            and span.since - SKEW <= start.at
            and (span.until is None or start.at <= span.until + KNOWN)
            for span in self._spans.get(start.limit, ())
        )

    def violation(self, start: SlotStart) -> Violation:
        """Say what is wrong with a start that is not allowed."""
        if start.limit not in self._spans:
            message = f"started under limit {start.limit}, which is not in the control log"
        else:
            message = f"started in slot {start.slot} of limit {start.limit}, which had fewer"
        return Violation(9, start.job_id, start.sequence, start.event_id, message)


def _most_slots(entry: ControlEntry) -> int:
    """Return the highest slot that a start may have after an entry, 0 for none.

    An entry that cannot be read is a finding of the control log; it makes none of its starts one.
    """
    limit = Limit.of(entry)
    return MAX_LIMIT_SLOTS if limit.is_unreadable else limit.slots or 0
