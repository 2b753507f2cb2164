"""Events and index rows as rows of the database."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Self, TypeVar

from orjson import loads

from jobfleet_contracts.codec import encode_text, format_optional_time, format_time
from jobfleet_contracts.credentials import masked_text
from jobfleet_contracts.error_group import dead_group_of
from jobfleet_contracts.errors import RowUnreadable
from jobfleet_contracts.event import (
    Event,
    JobFacts,
    JobState,
    held_locks_of_text,
    held_locks_to_text,
)
from jobfleet_contracts.index import JobRow, OpenRow, Page
from jobfleet_contracts.job_locks import locks_after, locks_of_text, locks_to_text
from jobfleet_contracts.state import State, step_of

T = TypeVar("T")
Row = tuple[Any, ...]
FoundRows = tuple[list[Row], str | None, datetime | None]
"""Rows of a page, the next cursor, and where a bounded search has stopped."""


class MarkedRow(tuple[Any, ...]):  # noqa: SLOT001 - a tuple can have none
    """A row with a cell that its backend could not read.

    Attributes:
        reason: what is wrong with it.
    """

    reason: str

    def __new__(cls, row: Row, reason: str) -> Self:
        """Return the row with the reason."""
        marked = super().__new__(cls, row)
        marked.reason = reason
        return marked


def check_row(row: Row) -> None:
    """Raise ``ValueError`` if a cell of the row could not be read."""
    if type(row) is MarkedRow:
        raise ValueError(row.reason)


UNREADABLE = (ValueError, KeyError, TypeError, AttributeError)
"""What reading a row raises that was edited by hand."""
NO_OFFSET = timedelta()

EVENT_COLUMNS = (
    "job_id, sequence, status, state, message, occurred_at, worker_id, attempt, epoch, "
    "duration_ms, data, event_id, claimed_by, lock, lock_turn, due_at, attempts_used, "
    "max_attempts, incarnation, sent, cancel_requested, takeovers, dismissed, "
    "lifecycle_before, locks, max_takeovers, "
    "job_name, job_type, queue, priority, lock_key, created_at, lock_slots, "
    "salt, data_hash, text_hash, hash"
)
OPEN_COLUMNS = (
    "job_id, incarnation, state, sequence, opened_at, updated_at, lock, due_at, sent, published, "
    "job_name, job_type, queue, priority, lock_key, created_at, lock_slots"
)
JOB_COLUMNS = (
    "job_id, state, status, sequence, attempt, max_attempts, incarnation, epoch, claimed_by, "
    "message, updated_at, due_at, dismissed, "
    "job_name, job_type, queue, priority, lock_key, created_at, lock_slots, duration_ms, steps, "
    "locks, error_group"
)


def marks(columns: str) -> str:
    """Return as many parameter marks as there are columns, in parentheses."""
    return f"({', '.join('?' * (columns.count(',') + 1))})"


def qualified(table: str, columns: str) -> str:
    """Return the columns with the table's name before each."""
    return ", ".join(f"{table}.{name}" for name in columns.split(", "))


def event_to_row(event: Event) -> Row:
    """Return the values of ``EVENT_COLUMNS``."""
    facts, after = event.facts, event.after
    return (
        facts.job_id,
        after.sequence,
        event.status,
        after.state.value,
        event.message,
        format_time(event.occurred_at),
        event.worker_id,
        after.attempt,
        after.epoch,
        event.duration_ms,
        encode_text(event.data),
        event.event_id,
        after.worker_id,
        after.lock,
        after.lock_turn,
        format_optional_time(after.due_at),
        after.attempts_used,
        after.max_attempts,
        after.incarnation,
        after.sent,
        after.cancel_requested,
        after.takeovers,
        after.dismissed,
        after.lifecycle_before,
        held_locks_to_text(after.locks),
        after.max_takeovers,
        *_facts_to_row(facts),
        event.salt,
        event.data_hash,
        event.text_hash,
        event.hash,
    )


def row_to_event(row: Row) -> Event:
    """Read the values of ``EVENT_COLUMNS``; further ones are ignored.

    Raises:
        RowUnreadable: it was edited until nothing follows from it.
    """
    try:
        return _read_event(row)
    except UNREADABLE as error:
        raise RowUnreadable(row[0], row[1], f"{type(error).__name__}: {error}") from error


def _read_event(row: Row) -> Event:
    check_row(row)
    return Event(
        facts=_facts(row[0], row[26:33]),
        after=JobState(
            state=State(row[3]),
            sequence=row[1],
            epoch=row[8],
            attempt=row[7],
            attempts_used=row[16],
            max_attempts=row[17],
            incarnation=row[18],
            worker_id=row[12],
            lock=row[13],
            lock_turn=row[14],
            due_at=_optional_time(row[15]),
            sent=bool(row[19]),
            cancel_requested=bool(row[20]),
            takeovers=row[21],
            dismissed=bool(row[22]),
            lifecycle_before=row[23],
            locks=held_locks_of_text(row[24]),
            max_takeovers=row[25],
        ),
        event_id=row[11],
        status=row[2],
        message=row[4],
        occurred_at=_time(row[5]),
        worker_id=row[6],
        duration_ms=row[9],
        data=_data(row[10]),
        salt=row[33],
        data_hash=row[34],
        text_hash=row[35],
        hash=row[36],
    )


def row_to_event_or_stand_in(row: Row) -> Event:
    """A row may have been edited by hand: one that cannot be read must not hide all others."""
    if not isinstance(row[1], int):
        return Event.unreadable(row[0], 0, f"its sequence is {row[1]!r}")
    try:
        return _read_event(row)
    except UNREADABLE as error:
        return Event.unreadable(row[0], row[1], f"{type(error).__name__}: {error}")


def decoded(decode: Callable[[Row], T], found: FoundRows) -> Page[T]:
    """Return the page of found rows; call it in the reader's thread, for it takes long."""
    rows, cursor, back_to = found
    return Page([*map(decode, rows)], cursor, back_to)


def _data(text: str) -> dict[str, Any]:
    found = loads(text)
    if not isinstance(found, dict):
        raise ValueError("data is not a JSON object")
    return found


def open_to_row(row: OpenRow) -> Row:
    """Return the values of ``OPEN_COLUMNS``."""
    return (
        row.facts.job_id,
        row.incarnation,
        row.state.value,
        row.sequence,
        format_time(row.opened_at),
        format_time(row.updated_at),
        row.lock,
        format_optional_time(row.due_at),
        row.sent,
        row.published,
        *_facts_to_row(row.facts),
    )


def row_to_open(row: Row) -> OpenRow:
    """Read the values of ``OPEN_COLUMNS``."""
    check_row(row)
    return OpenRow(
        facts=_facts(row[0], row[10:17]),
        incarnation=row[1],
        state=State(row[2]),
        sequence=row[3],
        opened_at=_time(row[4]),
        updated_at=_time(row[5]),
        lock=row[6],
        due_at=_optional_time(row[7]),
        sent=bool(row[8]),
        published=row[9],
    )


def readable_open_rows(rows: Iterable[Row]) -> list[OpenRow]:
    """Return those that can be read."""
    found: list[OpenRow] = []
    for row in rows:
        with suppress(*UNREADABLE):
            found.append(row_to_open(row))
    return found


def event_to_job_row(event: Event) -> Row:
    """Return the values of ``JOB_COLUMNS`` and, last, the text that searches look through."""
    facts, after = event.facts, event.after
    return (
        facts.job_id,
        after.state.value,
        event.status,
        after.sequence,
        after.attempt,
        after.max_attempts,
        after.incarnation,
        after.epoch,
        after.worker_id,
        masked_text(event.message),  # the server searches it, and would find what is hidden
        format_time(event.occurred_at),
        format_optional_time(after.due_at),
        after.dismissed,
        *_facts_to_row(facts),
        event.duration_ms,
        event.steps,
        locks_to_text(locks_after(event)),
        dead_group_of(event),
        f"{facts.job_name}\n{facts.lock_key or ''}".casefold(),
    )


def row_to_job(row: Row) -> JobRow:
    """Read the values of ``JOB_COLUMNS``; further ones are ignored."""
    check_row(row)
    return JobRow(
        facts=_facts(row[0], row[13:20]),
        state=State(row[1]),
        status=row[2],
        sequence=row[3],
        attempt=row[4],
        max_attempts=row[5],
        incarnation=row[6],
        epoch=row[7],
        worker_id=row[8],
        message=row[9],
        updated_at=_time(row[10]),
        due_at=_optional_time(row[11]),
        dismissed=bool(row[12]),
        duration_ms=row[20],
        step=step_of(row[2]),
        steps=row[21],
        locks=locks_of_text(row[22]),
    )


def row_to_job_or_stand_in(row: Row) -> JobRow:
    """The index is a copy: a row in it that cannot be read must not hide all others."""
    try:
        return row_to_job(row)
    except UNREADABLE as error:
        return JobRow.unreadable(str(row[0]), f"{type(error).__name__}: {error}")


def _facts_to_row(facts: JobFacts) -> Row:
    return (
        facts.job_name,
        facts.job_type,
        facts.queue,
        facts.priority,
        facts.lock_key,
        format_time(facts.created_at),
        facts.lock_slots,
    )


def _facts(job_id: str, row: Row) -> JobFacts:
    name, job_type, queue, priority, lock_key, created_at, slots = row
    return JobFacts(job_id, name, job_type, queue, priority, lock_key, _time(created_at), slots)


def _time(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    # An edited time of year 1 or 9999 with an offset overflows as soon as it is shown in UTC.
    if moment.tzinfo is not UTC and moment.utcoffset() != NO_OFFSET:
        raise ValueError(f"{text[:50]!r} is not in UTC")
    return moment


def _optional_time(text: str | None) -> datetime | None:
    return None if text is None else _time(text)
