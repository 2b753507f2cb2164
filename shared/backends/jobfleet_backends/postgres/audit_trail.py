"""The audit trail as a table whose rows are only ever inserted."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any

from jobfleet_backends.postgres.batch import BatchStatement, Fields, PartlyWritten, Row
from jobfleet_backends.postgres.database import Database
from jobfleet_backends.postgres.error_groups import ErrorGroups
from jobfleet_backends.postgres.ranks import Rank
from jobfleet_backends.postgres.run_times import TimeFields
from jobfleet_backends.postgres.schema import record
from jobfleet_backends.sql.row_codec import (
    EVENT_COLUMNS,
    event_to_row,
    qualified,
    row_to_event,
    row_to_event_or_stand_in,
)
from jobfleet_contracts.errors import SequenceTaken
from jobfleet_contracts.event import Event

EVENT_NAMES = tuple(EVENT_COLUMNS.split(", "))
_SCAN_ROWS = 2000
_SELECT = f"SELECT {EVENT_COLUMNS} FROM jobfleet.trail "
_LIFECYCLE = f"""
WITH RECURSIVE lifecycle AS (
    SELECT {EVENT_COLUMNS}, 1 AS number FROM jobfleet.trail WHERE job_id = %s AND sequence = %s
    UNION ALL
    SELECT {qualified("earlier", EVENT_COLUMNS)}, number + 1
    FROM lifecycle JOIN jobfleet.trail AS earlier
    ON earlier.job_id = lifecycle.job_id AND earlier.sequence = lifecycle.lifecycle_before
    -- An edited row that names itself or a later one must not lead round in circles.
    AND earlier.sequence < lifecycle.sequence AND number < %s
) SELECT {EVENT_COLUMNS} FROM lifecycle ORDER BY sequence
"""
EVENT_RECORD = f"""failed_type text, failed_error text, failed_place text,
        failed_message text, timed_start timestamptz, timed_type text, timed_kind text,
        timed_bucket int, slow boolean, {record(EVENT_COLUMNS)}"""
# Parts of a statement whose ``rows`` are the events to insert.
WRITTEN = f"""
written AS (
    INSERT INTO jobfleet.trail ({EVENT_COLUMNS})
    SELECT {EVENT_COLUMNS} FROM rows ORDER BY job_id, sequence
    ON CONFLICT (job_id, sequence) DO NOTHING
    RETURNING job_id, sequence, status, state, occurred_at, duration_ms, data
)
"""
TIMED = """
timed AS (
    INSERT INTO jobfleet.type_times
    SELECT timed_start, timed_type, timed_kind, timed_bucket, count(*)
    FROM rows JOIN written USING (job_id, sequence)
    WHERE timed_kind IS NOT NULL GROUP BY 1, 2, 3, 4
)
"""
# A tombstone, and the seal before it, stand for an ending that was counted when it happened.
INSERT_EVENTS = f"""
WITH rows AS (
    SELECT * FROM json_to_recordset(%s::json) AS rows (n int, {EVENT_RECORD})
), {WRITTEN}, {TIMED}, counted AS (
    INSERT INTO jobfleet.endings
    SELECT date_trunc('minute', occurred_at), state, count(*), pg_catalog.count(duration_ms),
        coalesce(sum(duration_ms), 0)
    FROM written
    WHERE status IN ('Completed', 'Failed', 'Cancelled', 'TimedOut') AND sequence > 1
        AND NOT starts_with(data, '{{"tombstone":true,')
    GROUP BY 1, 2
), failed AS (
    INSERT INTO jobfleet.errors
    SELECT date_trunc('minute', rows.occurred_at), failed_type, failed_error, failed_place,
        count(*) FILTER (WHERE rows.state IN ('failed', 'timedOut')),
        count(*) FILTER (WHERE rows.state NOT IN ('failed', 'timedOut')),
        min(rows.occurred_at), max(rows.occurred_at),
        (pg_catalog.array_agg(failed_message ORDER BY rows.occurred_at DESC))[1],
        (pg_catalog.array_agg(job_id ORDER BY rows.occurred_at DESC))[1]
    FROM rows JOIN written USING (job_id, sequence)
    WHERE failed_error IS NOT NULL GROUP BY 1, 2, 3, 4
), slow AS (
    INSERT INTO jobfleet.slow_runs
    SELECT rows.occurred_at, rows.duration_ms, job_id, sequence, job_name, job_type, attempt,
        timed_kind
    FROM rows JOIN written USING (job_id, sequence) WHERE rows.slow
)
SELECT rows.n FROM rows JOIN written USING (job_id, sequence)
"""


def event_fields(event: Event) -> Fields:
    """Return the columns of an event by name."""
    return dict(zip(EVENT_NAMES, event_to_row(event), strict=True))


def _outcome(rows: Sequence[Fields], written: list[Row]) -> None:
    if len(written) == len(rows):
        return
    job_id, sequence = rows[0]["job_id"], rows[0]["sequence"]
    taken = SequenceTaken(f"job {job_id} has event {sequence} or a later one")
    if written:
        raise PartlyWritten from taken
    raise taken


INSERT: BatchStatement[Sequence[Fields], None] = BatchStatement(
    rank=Rank.TRAIL,
    sql=INSERT_EVENTS,
    rows=lambda rows: rows,
    outcome=_outcome,
    # Rows are identified by job and sequence, because two requests of one job never share a
    # transaction.
    key=lambda rows: rows[0]["job_id"],
    may_tear=lambda rows: len(rows) > 1,
)


class PostgresAuditTrail:
    """Primary key of an event is job and sequence: inserting it is the compare-and-swap."""

    def __init__(self, *, database: Database) -> None:
        self._database = database
        self._groups = ErrorGroups()
        self._times = TimeFields()

    async def insert(self, events: Sequence[Event]) -> None:
        """Insert consecutive events of one job, all or none."""
        rows = [self.counted(event) for event in events]
        await self._database.write(INSERT, rows)

    def counted(self, event: Event) -> Fields:
        """Return the columns of an event, and what it is counted by."""
        return event_fields(event) | self._groups.fields(event) | self._times.fields(event)

    async def newest(self, job_id: str) -> Event | None:
        """Return the job's last event."""
        events = await self._events("WHERE job_id = %s ORDER BY sequence DESC LIMIT 1", job_id)
        return events[0] if events else None

    async def read(self, job_id: str, sequence: int) -> Event | None:
        """Return one event."""
        events = await self._events("WHERE job_id = %s AND sequence = %s", job_id, sequence)
        return events[0] if events else None

    async def history(
        self, job_id: str, *, after: int = 0, before: int | None = None, limit: int = 1000
    ) -> Sequence[Event]:
        """Return events between two sequences, oldest first."""
        if before is None:
            where = "WHERE job_id = %s AND sequence > %s ORDER BY sequence LIMIT %s"
            return await self._events(where, job_id, after, limit)
        where = "WHERE job_id = %s AND sequence > %s AND sequence < %s"
        where += " ORDER BY sequence DESC LIMIT %s"
        return (await self._events(where, job_id, after, before, limit))[::-1]

    async def lifecycle(self, job_id: str, *, last: int, limit: int = 1000) -> Sequence[Event]:
        """Return lifecycle events, oldest first; each row is found by its primary key."""
        return await self._database.fetch_as(row_to_event, _LIFECYCLE, job_id, last, limit)

    async def scan(self) -> AsyncIterator[Sequence[Event]]:
        """Yield each job's history; short reads, so that no snapshot stands for long."""
        job: list[Row] = []
        place: tuple[str, int] = ("", 0)
        where = "WHERE (job_id, sequence) > (%s, %s) ORDER BY job_id, sequence LIMIT %s"
        while rows := await self._rows(where, *place, _SCAN_ROWS):
            place = (rows[-1][0], rows[-1][1])
            for job_id, of_job in groupby(rows, itemgetter(0)):
                if job and job[0][0] != job_id:
                    yield [row_to_event_or_stand_in(row) for row in job]
                    job = []
                job += of_job
        if job:
            yield [row_to_event_or_stand_in(row) for row in job]

    async def _events(self, where: str, *values: Any) -> list[Event]:
        return await self._database.fetch_as(row_to_event, _SELECT + where, *values)

    async def _rows(self, where: str, *values: Any) -> list[Row]:
        return await self._database.fetch(_SELECT + where, *values)
