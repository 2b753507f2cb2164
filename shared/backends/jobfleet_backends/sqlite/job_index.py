"""Writer of open rows and of the current state of jobs; the timeline is the trail itself."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Generator, Sequence
from datetime import datetime
from typing import Any

import structlog

from jobfleet_backends.sql.operation_queue import Operation
from jobfleet_backends.sql.row_codec import (
    JOB_COLUMNS,
    OPEN_COLUMNS,
    Row,
    event_to_job_row,
    marks,
    open_to_row,
)
from jobfleet_backends.sqlite.database import Database
from jobfleet_contracts.codec import format_optional_time, format_time
from jobfleet_contracts.event import Event
from jobfleet_contracts.index import OpenRow
from jobfleet_contracts.lookup_keys import keys_in

INDEX_NOT_WRITTEN = "index.write_failed"

_OPEN = f"""
INSERT INTO open_jobs ({OPEN_COLUMNS}) VALUES {marks(OPEN_COLUMNS)}
ON CONFLICT (job_id, incarnation) DO UPDATE SET opened_at = excluded.opened_at
WHERE sequence = 0 AND published = 0
"""
_DISCARD = """
DELETE FROM open_jobs
WHERE job_id = ? AND incarnation = ? AND opened_at = ? AND sequence = 0 AND published = 0
"""
_HINTS = """
UPDATE open_jobs SET state = ?, sequence = ?, updated_at = ?, lock = ?, due_at = ?, sent = ?
WHERE job_id = ? AND incarnation = ? AND sequence < ?
"""
_JOB = f"""
INSERT INTO jobs ({JOB_COLUMNS}, search) VALUES {marks(JOB_COLUMNS + ", search")}
ON CONFLICT (job_id) DO UPDATE SET
    state = excluded.state, status = excluded.status, sequence = excluded.sequence,
    attempt = excluded.attempt, max_attempts = excluded.max_attempts,
    incarnation = excluded.incarnation, epoch = excluded.epoch,
    claimed_by = excluded.claimed_by, message = excluded.message,
    updated_at = excluded.updated_at, due_at = excluded.due_at, dismissed = excluded.dismissed,
    duration_ms = excluded.duration_ms, steps = excluded.steps, locks = excluded.locks,
    error_group = iif(excluded.dismissed, jobs.error_group, excluded.error_group)
WHERE excluded.sequence > jobs.sequence
"""
_PUBLISHED = """
UPDATE open_jobs SET published = ? WHERE job_id = ? AND incarnation = ? AND published < ?
"""
_KEY = "INSERT INTO job_keys VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING"
_TRIM = """
DELETE FROM errors WHERE (step, start, job_type, error, place) IN
    (SELECT step, start, job_type, error, place FROM errors WHERE step = ? AND start < ? LIMIT 1000)
"""
_TRIM_TIMES = """
DELETE FROM type_times WHERE (start, job_type, kind, bucket) IN
    (SELECT start, job_type, kind, bucket FROM type_times WHERE start < ? LIMIT 5000)
"""
_TRIM_SLOW = "DELETE FROM slow_runs WHERE hour < ?"
_CLOSE = "DELETE FROM open_jobs WHERE job_id = ? AND incarnation = ?"

_log = structlog.get_logger()


class SqliteJobIndex:
    """Queues rows for the next transaction; nothing here goes back to an older sequence."""

    def __init__(self, *, database: Database) -> None:
        self._database = database

    async def open(self, row: OpenRow) -> None:
        """Insert an open row; on the disk when this returns."""
        values = open_to_row(row)
        await self._database.write(lambda connection: connection.execute(_OPEN, values))

    def record(self, events: Sequence[Event]) -> Awaitable[None]:
        """Queue the current state of the events' jobs and the hints of their open rows."""
        jobs = [event_to_job_row(event) for event in _last_of_each_job(events)]
        hints = [_hint(event) for event in events if not event.after.state.is_terminal]
        keys = key_rows(events)

        def operation(connection: sqlite3.Connection) -> None:
            connection.executemany(_JOB, jobs)
            connection.executemany(_KEY, keys)
            connection.executemany(_HINTS, hints)

        return self._queue(operation)

    def published(self, job_id: str, incarnation: int, sequence: int) -> Awaitable[None]:
        """Mark that a message for ``sequence`` was confirmed."""
        return self._queue_statement(_PUBLISHED, (sequence, job_id, incarnation, sequence))

    def close(self, job_id: str, incarnation: int) -> Awaitable[None]:
        """Remove an open row."""
        return self._queue_statement(_CLOSE, (job_id, incarnation))

    async def discard(self, row: OpenRow) -> None:
        """Remove a row whose event never came, unless it was opened again or confirmed."""
        values = row.facts.job_id, row.incarnation, format_time(row.opened_at)
        await self._database.write(lambda connection: connection.execute(_DISCARD, values))

    async def trim(self, *, before: datetime) -> None:
        """Remove counts of errors and run times before; some thousand rows of each a call."""
        moment = format_time(before)

        def operation(connection: sqlite3.Connection) -> None:
            connection.execute(_TRIM, ("minute", moment[:16]))
            connection.execute(_TRIM, ("hour", moment[:13]))
            connection.execute(_TRIM_TIMES, (moment[:15],))
            connection.execute(_TRIM_SLOW, (moment[:13],))

        await self._database.write(operation)

    async def begin_rebuild(self, *, now: datetime) -> None:
        """Do nothing: the insert of an event counts it."""

    async def flush(self) -> None:
        """Wait until everything queued so far is stored: the writer keeps the order."""
        await self._database.write(lambda _: None)

    def _queue_statement(self, statement: str, values: Row) -> Awaitable[None]:
        def operation(connection: sqlite3.Connection) -> None:
            connection.execute(statement, values)

        return self._queue(operation)

    def _queue(self, operation: Operation[None]) -> Awaitable[None]:
        future = self._database.write_soon(operation)
        future.add_done_callback(_note_failure)
        return _Copy(future, self._database)


class _Copy:
    """A row that will be written; awaiting it makes it be written at once."""

    def __init__(self, future: asyncio.Future[None], database: Database) -> None:
        self._future = future
        self._database = database

    def __await__(self) -> Generator[Any, None, None]:
        self._database.hurry()
        yield from self._future


def key_rows(events: Sequence[Event]) -> list[Row]:
    """Return the rows of the events' lookup keys."""
    return [
        (key, value, format_time(event.facts.created_at), event.job_id)
        for event in events
        for key, value in keys_in(event).items()
    ]


def _last_of_each_job(events: Sequence[Event]) -> list[Event]:
    last: dict[str, Event] = {}
    for event in events:
        known = last.get(event.job_id)
        if known is None or known.sequence < event.sequence:
            last[event.job_id] = event
    return list(last.values())


def _hint(event: Event) -> Row:
    after = event.after
    return (
        after.state.value,
        after.sequence,
        format_time(event.occurred_at),
        after.lock,
        format_optional_time(after.due_at),
        after.sent,
        event.job_id,
        after.incarnation,
        after.sequence,
    )


def _note_failure(future: asyncio.Future[Any]) -> None:
    """No caller has to await the copy; a failure is logged here and not by the event loop."""
    if not future.cancelled() and (error := future.exception()):
        _log.warning(INDEX_NOT_WRITTEN, error=str(error))
