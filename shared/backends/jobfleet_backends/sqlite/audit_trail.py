"""The audit trail as a table whose rows are only ever inserted."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from itertools import groupby
from operator import itemgetter

from jobfleet_backends.sql.row_codec import (
    EVENT_COLUMNS,
    Row,
    event_to_row,
    qualified,
    row_to_event,
    row_to_event_or_stand_in,
)
from jobfleet_backends.sqlite.database import Database
from jobfleet_backends.sqlite.trail_insert import TrailInsert
from jobfleet_contracts.event import Event

_SELECT = f"SELECT {EVENT_COLUMNS} FROM trail "
_LIFECYCLE = f"""
WITH RECURSIVE lifecycle AS (
    SELECT {EVENT_COLUMNS} FROM trail WHERE job_id = ? AND sequence = ?
    UNION ALL
    SELECT {qualified("trail", EVENT_COLUMNS)} FROM lifecycle JOIN trail
    ON trail.job_id = lifecycle.job_id AND trail.sequence = lifecycle.lifecycle_before
    -- An edited row that names itself or a later one must not lead round in circles.
    AND trail.sequence < lifecycle.sequence
    LIMIT ?
) SELECT {EVENT_COLUMNS} FROM lifecycle ORDER BY sequence
"""
_SCAN_ROWS = 2000


class SqliteAuditTrail:
    """Primary key of an event is job and sequence: inserting it is the compare-and-swap."""

    def __init__(self, *, database: Database) -> None:
        self._database = database

    async def insert(self, events: Sequence[Event]) -> None:
        """Insert consecutive events of one job in one statement, which is all or none."""
        await self._database.write(TrailInsert([event_to_row(event) for event in events]))

    async def newest(self, job_id: str) -> Event | None:
        """Return the job's last event."""
        events = await self._events("WHERE job_id = ? ORDER BY sequence DESC LIMIT 1", job_id)
        return events[0] if events else None

    async def read(self, job_id: str, sequence: int) -> Event | None:
        """Return one event."""
        events = await self._events("WHERE job_id = ? AND sequence = ?", job_id, sequence)
        return events[0] if events else None

    async def history(
        self, job_id: str, *, after: int = 0, before: int | None = None, limit: int = 1000
    ) -> Sequence[Event]:
        """Return events between two sequences, oldest first."""
        if before is None:
            where = "WHERE job_id = ? AND sequence > ? ORDER BY sequence LIMIT ?"
            return await self._events(where, job_id, after, limit)
        where = "WHERE job_id = ? AND sequence > ? AND sequence < ? ORDER BY sequence DESC LIMIT ?"
        return (await self._events(where, job_id, after, before, limit))[::-1]

    async def lifecycle(self, job_id: str, *, last: int, limit: int = 1000) -> Sequence[Event]:
        """Return lifecycle events, oldest first; each row is found by its primary key."""
        return await self._database.fetch_as(row_to_event, _LIFECYCLE, job_id, last, limit)

    async def scan(self) -> AsyncIterator[Sequence[Event]]:
        """Yield each job's history; short reads, so that no snapshot stands for long."""
        job: list[Row] = []
        place: tuple[str, int] = ("", 0)
        where = "WHERE (job_id, sequence) > (CAST(? AS TEXT), ?) ORDER BY job_id, sequence LIMIT ?"
        while rows := await self._rows(where, *place, _SCAN_ROWS):
            place = (rows[-1][0], rows[-1][1])
            for job_id, of_job in groupby(rows, itemgetter(0)):
                if job and job[0][0] != job_id:
                    yield [row_to_event_or_stand_in(row) for row in job]
                    job = []
                job += of_job
        if job:
            yield [row_to_event_or_stand_in(row) for row in job]

    async def _events(self, where: str, *values: str | int) -> list[Event]:
        return await self._database.fetch_as(row_to_event, _SELECT + where, *values)

    async def _rows(self, where: str, *values: str | int) -> list[Row]:
        statement = _SELECT + where
        return await self._database.read(
            lambda connection: connection.execute(statement, values).fetchall()
        )
