"""Rule 12 over an exported trail, without the storage: does each row follow from the one before?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby

from jobfleet_contracts.event import MASKED_SALT, Event
from jobfleet_protocol.audit.chain_check import check_chain, violation
from jobfleet_protocol.audit.violation import Violation
from jobfleet_protocol.trail.chain import BEGINNING, row_hash


def check_export(events: Iterable[Event]) -> Iterator[Violation]:
    """Yield a violation for each row that is missing or was changed, job by job.

    A masked row shows that no column was changed and that no row is missing before it. Only a raw
    row (with its salt) or the storage shows whether its data and texts were changed.
    """
    for _, history in groupby(events, key=lambda event: event.job_id):
        rows = list(history)
        yield from _gaps(rows)
        if any(row.salt == MASKED_SALT for row in rows if row.is_readable):
            yield from _linkage(rows)
        else:
            yield from check_chain(rows)


def _gaps(rows: list[Event]) -> Iterator[Violation]:
    expected = 1
    for row in rows:
        if row.sequence != expected:
            yield violation(row, f"event {expected} is missing before it")
        expected = row.sequence + 1


def _linkage(rows: list[Event]) -> Iterator[Violation]:
    previous: str | None = BEGINNING
    expected = 1
    for row in rows:
        known = row.is_readable and row.sequence == expected
        if known and previous is not None and row.hash != row_hash(row, previous):
            yield violation(row, "the row, or the row before it, was changed after it was written")
        previous = row.hash if row.is_readable else None
        expected = row.sequence + 1
