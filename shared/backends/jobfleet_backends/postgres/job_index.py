"""Writer of open rows and of the current state of jobs; the timeline is the trail itself."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog

from jobfleet_backends.postgres.batch import BatchStatement, Fields, Item
from jobfleet_backends.postgres.connection import Session
from jobfleet_backends.postgres.database import Database
from jobfleet_backends.postgres.ranks import Rank
from jobfleet_backends.postgres.schema import in_schema, record
from jobfleet_backends.sql.row_codec import (
    JOB_COLUMNS,
    OPEN_COLUMNS,
    event_to_job_row,
    open_to_row,
)
from jobfleet_contracts.codec import format_time
from jobfleet_contracts.event import Event
from jobfleet_contracts.index import OpenRow
from jobfleet_contracts.lookup_keys import keys_in

INDEX_NOT_WRITTEN = "index.write_failed"
TIDY_SECONDS = 60.0

_OPEN_NAMES = tuple(OPEN_COLUMNS.split(", "))
LISTED_COLUMNS = f"{JOB_COLUMNS}, search"
_JOB_NAMES = tuple(LISTED_COLUMNS.split(", "))
_FACTS = ("job_name", "job_type", "queue", "priority", "lock_key", "created_at", "lock_slots")
_FIXED = ("job_id", *_FACTS, "error_group")
_CHANGING = [name for name in JOB_COLUMNS.split(", ") if name not in _FIXED]

OPEN_SQL = f"""
INSERT INTO jobfleet.open_jobs AS it ({OPEN_COLUMNS})
SELECT {OPEN_COLUMNS} FROM json_to_recordset(%s::json) AS rows (n int, {record(OPEN_COLUMNS)})
ORDER BY job_id, incarnation
ON CONFLICT (job_id, incarnation) DO UPDATE SET opened_at = excluded.opened_at
WHERE it.sequence = 0 AND it.published = 0 RETURNING 0
"""
_DISCARD = """
DELETE FROM jobfleet.open_jobs
WHERE job_id = %s AND incarnation = %s AND opened_at = %s AND sequence = 0 AND published = 0
"""
RECORD_SQL = f"""
WITH rows AS (
    SELECT * FROM json_to_recordset(%s::json)
    AS rows (n int, ended boolean, lock text, sent boolean, {record(JOB_COLUMNS)}, search text)
), listed AS (
    INSERT INTO jobfleet.jobs AS it ({LISTED_COLUMNS})
    SELECT DISTINCT ON (job_id) {LISTED_COLUMNS} FROM rows ORDER BY job_id, sequence DESC
    ON CONFLICT (job_id) DO UPDATE
    SET {", ".join(f"{name} = excluded.{name}" for name in _CHANGING)},
        error_group = CASE WHEN excluded.dismissed THEN it.error_group ELSE excluded.error_group END
    WHERE excluded.sequence > it.sequence
)
UPDATE jobfleet.open_jobs AS it
SET state = newest.state, sequence = newest.sequence, updated_at = newest.updated_at,
    lock = newest.lock, due_at = newest.due_at, sent = newest.sent
FROM (
    SELECT DISTINCT ON (job_id, incarnation) * FROM rows WHERE NOT ended
    ORDER BY job_id, incarnation, sequence DESC
) AS newest
WHERE it.job_id = newest.job_id AND it.incarnation = newest.incarnation
    AND it.sequence < newest.sequence
RETURNING newest.n
"""
_KEYS_SQL = """
INSERT INTO jobfleet.job_keys
SELECT DISTINCT key, value, created_at, job_id FROM json_to_recordset(%s::json)
AS rows (n int, key text, value text, created_at timestamptz, job_id text)
ORDER BY key, value, created_at, job_id ON CONFLICT DO NOTHING RETURNING 0
"""
_PLACE = "n int, job_id text, incarnation bigint, published bigint"
_PUBLISHED = f"""
UPDATE jobfleet.open_jobs AS it SET published = newest.published
FROM (
    SELECT job_id, incarnation, max(published) AS published
    FROM json_to_recordset(%s::json) AS rows ({_PLACE}) GROUP BY job_id, incarnation
) AS newest
WHERE it.job_id = newest.job_id AND it.incarnation = newest.incarnation
    AND it.published < newest.published
RETURNING 0
"""
_CLOSE = f"""
DELETE FROM jobfleet.open_jobs AS it USING json_to_recordset(%s::json) AS rows ({_PLACE})
WHERE it.job_id = rows.job_id AND it.incarnation = rows.incarnation RETURNING rows.n
"""
_TRIM = (
    """
DELETE FROM jobfleet.errors
WHERE ctid = ANY(ARRAY(SELECT ctid FROM jobfleet.errors WHERE minute < %s LIMIT 1000))
""",
    """
DELETE FROM jobfleet.type_times
WHERE ctid = ANY(ARRAY(SELECT ctid FROM jobfleet.type_times WHERE start < %s LIMIT 5000))
""",
    "DELETE FROM jobfleet.slow_runs WHERE ended_at < %s",
)
# Writers add rows to these tables and never change one. Two processes that put the rows together
# at once do no harm: the second finds those gone that the first has taken.
_TIDY = (
    """
WITH taken AS (DELETE FROM jobfleet.state_counts RETURNING *)
INSERT INTO jobfleet.state_counts SELECT state, sum(jobs) FROM taken GROUP BY state
""",
    """
WITH taken AS (
    DELETE FROM jobfleet.endings WHERE minute IN (
        SELECT minute FROM jobfleet.endings WHERE minute > clock_timestamp() - interval '1 hour'
        GROUP BY minute HAVING count(*) > 8
    ) RETURNING *
)
INSERT INTO jobfleet.endings SELECT minute, state, sum(jobs), sum(timed), sum(duration_ms)
FROM taken GROUP BY minute, state
""",
    """
WITH taken AS (
    DELETE FROM jobfleet.errors WHERE minute IN (
        SELECT minute FROM jobfleet.errors WHERE minute > clock_timestamp() - interval '1 hour'
        GROUP BY minute HAVING count(*) > 200
    ) OR minute < clock_timestamp() - interval '1 day' AND minute > date_trunc('hour', minute)
    RETURNING *, CASE WHEN minute < clock_timestamp() - interval '1 day'
        THEN date_trunc('hour', minute) ELSE minute END AS start
)
INSERT INTO jobfleet.errors
SELECT start, job_type, error, place, sum(jobs), sum(retried), min(first_at), max(last_at),
    (pg_catalog.array_agg(message ORDER BY last_at DESC))[1],
    (pg_catalog.array_agg(job_id ORDER BY last_at DESC))[1]
FROM taken GROUP BY start, job_type, error, place
""",
    """
WITH taken AS (
    DELETE FROM jobfleet.type_times WHERE start IN (
        SELECT start FROM jobfleet.type_times WHERE start > clock_timestamp() - interval '1 hour'
        GROUP BY start
        HAVING count(*) > 2 * pg_catalog.count(DISTINCT (job_type, kind, bucket)) + 100
    ) RETURNING *
)
INSERT INTO jobfleet.type_times SELECT start, job_type, kind, bucket, sum(runs)
FROM taken GROUP BY start, job_type, kind, bucket
""",
)

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Place:
    job_id: str
    incarnation: int
    published: int = 0


def open_fields(row: OpenRow) -> Fields:
    """Return the columns of an open row by name."""
    return dict(zip(_OPEN_NAMES, open_to_row(row), strict=True))


def job_fields(event: Event) -> Fields:
    """Return the columns of the job's row as it is after the event, and the open row's hints."""
    after = event.after
    hints = {"ended": after.state.is_terminal, "lock": after.lock, "sent": after.sent}
    return hints | dict(zip(_JOB_NAMES, event_to_job_row(event), strict=True))


def _place_fields(place: _Place) -> Sequence[Fields]:
    named = {"job_id": place.job_id, "incarnation": place.incarnation}
    return [{**named, "published": place.published}]


def key_fields(events: Sequence[Event]) -> Sequence[Fields]:
    """Return the columns of the events' lookup keys."""
    return [
        {
            "key": key,
            "value": value,
            "created_at": format_time(event.facts.created_at),
            "job_id": event.job_id,
        }
        for event in events
        for key, value in keys_in(event).items()
    ]


def _nothing(_item: object, _rows: object) -> None:
    return None


_OPEN: BatchStatement[OpenRow, None] = BatchStatement(
    rank=Rank.OPEN,
    sql=OPEN_SQL,
    rows=lambda row: [open_fields(row)],
    outcome=_nothing,
    key=lambda row: (row.facts.job_id, row.incarnation),
)
_RECORD: BatchStatement[Sequence[Event], None] = BatchStatement(
    rank=Rank.RECORD,
    sql=RECORD_SQL,
    rows=lambda events: [job_fields(event) for event in events],
    outcome=_nothing,
)
_KEYS: BatchStatement[Sequence[Event], None] = BatchStatement(
    rank=Rank.KEYS, sql=_KEYS_SQL, rows=key_fields, outcome=_nothing
)
MARK: BatchStatement[_Place, None] = BatchStatement(
    rank=Rank.PUBLISHED, sql=_PUBLISHED, rows=_place_fields, outcome=_nothing
)
REMOVE: BatchStatement[_Place, None] = BatchStatement(
    rank=Rank.CLOSE, sql=_CLOSE, rows=_place_fields, outcome=_nothing
)


class PostgresJobIndex:
    """Queues rows for the next transaction; nothing here goes back to an older sequence."""

    def __init__(self, *, database: Database) -> None:
        self._database = database
        self._tidy_at = database.clock.boottime() + TIDY_SECONDS

    async def open(self, row: OpenRow) -> None:
        """Insert an open row; it is committed when this returns."""
        await self._database.write(_OPEN, row)

    def record(self, events: Sequence[Event]) -> Awaitable[None]:
        """Queue the current state of the events' jobs and the hints of their open rows."""
        self._tidy_now_and_then()
        if any(keys_in(event) for event in events):
            self._queue(_KEYS, events)
        return self._queue(_RECORD, events)

    def published(self, job_id: str, incarnation: int, sequence: int) -> Awaitable[None]:
        """Mark that a message for ``sequence`` was confirmed."""
        return self._queue(MARK, _Place(job_id, incarnation, sequence))

    def close(self, job_id: str, incarnation: int) -> Awaitable[None]:
        """Remove an open row."""
        return self._queue(REMOVE, _Place(job_id, incarnation))

    async def discard(self, row: OpenRow) -> None:
        """Remove a row whose event never came, unless it was opened again or confirmed."""
        values = row.facts.job_id, row.incarnation, format_time(row.opened_at)
        await self._database.execute(_DISCARD, *values)

    async def trim(self, *, before: datetime) -> None:
        """Remove counts of errors and run times before; some thousand rows of each a call."""
        for statement in _TRIM:
            await self._database.execute(statement, format_time(before))

    async def begin_rebuild(self, *, now: datetime) -> None:
        """Do nothing: the insert of an event counts it."""

    async def flush(self) -> None:
        """Wait until everything queued so far is stored: the writer keeps the order."""
        await self._database.after_index(lambda _session: None)

    def _queue(self, statement: BatchStatement[Item, None], item: Item) -> Awaitable[None]:
        future = self._database.index(statement, item)
        future.add_done_callback(_note_failure)
        return future

    def _tidy_now_and_then(self) -> None:
        now = self._database.clock.boottime()
        if now < self._tidy_at:
            return
        self._tidy_at = now + TIDY_SECONDS
        schema = self._database.schema
        self._database.after_index(lambda session: tidy(session, schema)).add_done_callback(
            _note_failure
        )


def tidy(session: Session, schema: str) -> None:
    """Put the rows of counts together that many transactions have added."""
    for statement in _TIDY:
        session.execute(in_schema(statement, schema))


def _note_failure(future: asyncio.Future[Any]) -> None:
    """No caller has to await the copy; a failure is logged here and not by the event loop."""
    if not future.cancelled() and (error := future.exception()):
        _log.warning(INDEX_NOT_WRITTEN, error=str(error))
