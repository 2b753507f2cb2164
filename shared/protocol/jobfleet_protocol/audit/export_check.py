"""Rule 12 over an exported trail, without the storage: does each row follow from the one before?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby

from jobfleet_contracts.event import MASKED_SALT, UNREADABLE, Event
from jobfleet_protocol.audit.chain_check import check_chain, violation
from jobfleet_protocol.audit.violation import Violation
from jobfleet_protocol.trail.chain import BEGINNING, row_hash


def check_export(events: Iterable[Event]) -> Iterator[Violation]:
    """Yield a violation for each row that is missing or was changed, job by job.

    The first row with or without a salt tells whether the file is raw or masked; a row of the other
    form is a violation. A masked row shows that no column was changed and that no row is missing
    before it. Only a raw row or the storage shows whether its data and texts were changed.
    """
    is_masked: bool | None = None
    seen: set[str] = set()
    for job_id, history in groupby(events, key=lambda event: event.job_id):
        rows = list(history)
        if is_masked is None:
            is_masked = next(
                (row.salt == MASKED_SALT for row in rows if row.salt is not None), None
            )
        if job_id in seen:
            yield violation(rows[0], "the file holds the job twice")
        seen.add(job_id)
        yield from _gaps(rows)
        yield from _strange(rows, is_masked=bool(is_masked))
        yield from _linkage(rows) if is_masked else check_chain(rows)


def _strange(rows: list[Event], *, is_masked: bool) -> Iterator[Violation]:
    for row in rows:
        if row.status == UNREADABLE:
            yield violation(row, "the line holds no event, only that it could not be read")
        elif row.salt is not None and (row.salt == MASKED_SALT) != is_masked:
            forms = ("raw", "masked") if is_masked else ("masked", "raw")
            yield violation(row, "a {} line in a {} export".format(*forms))


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
        known = row.status != UNREADABLE and row.sequence == expected
        if known and previous is not None and row.hash != row_hash(row, previous):
            yield violation(row, "the row, or the row before it, was changed after it was written")
        previous = row.hash if row.status != UNREADABLE else None
        expected = row.sequence + 1
