"""Questions to timeline, jobs and open rows; each costs about as much as its page."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

import structlog

from jobfleet_backends.sql.list_conditions import (
    event_ranges,
    event_tests,
    job_ranges,
    job_tests,
    keyed_tests,
)
from jobfleet_backends.sql.row_codec import (
    EVENT_COLUMNS,
    JOB_COLUMNS,
    OPEN_COLUMNS,
    Row,
    decoded,
    row_to_event_or_stand_in,
    row_to_job_or_stand_in,
    row_to_open,
)
from jobfleet_backends.sqlite.conditions import SqliteConditions
from jobfleet_backends.sqlite.database import Database
from jobfleet_backends.sqlite.error_counts import read_errors
from jobfleet_backends.sqlite.fleet_counts import count_ended, count_jobs, take_census
from jobfleet_backends.sqlite.job_lookup import look_up
from jobfleet_backends.sqlite.lock_queues import read_lock_slots, read_lock_uses, read_waiters
from jobfleet_backends.sqlite.page_query import PageQuery
from jobfleet_backends.sqlite.run_times import read_run_times
from jobfleet_contracts.cursor import NUMBER, CursorForm
from jobfleet_contracts.error_group import ErrorSummary
from jobfleet_contracts.event import Event
from jobfleet_contracts.index import (
    Census,
    EndedCount,
    EventQuery,
    JobQuery,
    JobRow,
    LockUse,
    OpenRow,
    Page,
    TimelineEntry,
    TimeStep,
    copied_data,
)
from jobfleet_contracts.row_test import TestedField
from jobfleet_contracts.run_times import RunTimes
from jobfleet_contracts.state import State

OPEN_ROW_UNREADABLE = "open_row.unreadable"
SEARCHED_JOBS = 100_000
"""Jobs that one page of a search looks through at most."""
SEARCHED_EVENTS = 50_000
"""Likewise of events; their rows are wide."""

_SQL = SqliteConditions()
_SINCE = f"SELECT {EVENT_COLUMNS}, position FROM trail WHERE position > ? ORDER BY position LIMIT ?"
_NEWEST = f"SELECT {EVENT_COLUMNS}, position FROM trail ORDER BY position DESC LIMIT 1"


_COLUMNS: Mapping[TestedField, tuple[str, ...]] = {
    "text": ("job_id",),
    "error": ("message",),
    "worker": ("claimed_by",),
    "lock": ("lock_key",),
}
"""What a test looks at beside the columns of the index ``jobs_by_change``."""
_EVENT_COLUMNS: Mapping[TestedField, tuple[str, ...]] = {
    "text": ("job_name", "lock_key", "job_id"),
    "type": (),
    "error": (),
    "worker": ("worker_id",),
    "queue": ("queue",),
    "lock": ("lock_key",),
}
_LIVE_CURSOR = CursorForm(f"({NUMBER})")
_OPEN_CURSOR = CursorForm(f"([A-Za-z]*)~([^~]*)~({NUMBER})")

_DATA = EVENT_COLUMNS.split(", ").index("data")

_log = structlog.get_logger()


class SqliteJobIndexReader:
    """Reads the trail as the timeline, and the tables ``jobs`` and ``open_jobs``."""

    def __init__(self, *, database: Database) -> None:
        self._database = database
        self._unreadable: set[str] = set()

    async def events(self, query: EventQuery) -> Page[Event]:
        """Return a page of the timeline, newest first."""
        if query.nothing:
            return Page([])
        page = PageQuery(
            table="trail",
            columns=EVENT_COLUMNS,
            time="occurred_at",
            limit=query.limit,
            ranges=event_ranges(_SQL, query),
            tests=event_tests(_SQL, query),
            tested=", ".join(sorted(_tested_of_events(query))),
            window=SEARCHED_EVENTS,
        )
        return await self._database.read(lambda connection: decoded(_event, page.run(connection)))

    async def since(self, cursor: str | None, limit: int = 500) -> Sequence[TimelineEntry]:
        """Return events after a live cursor, oldest first; the cursor is a trail position."""
        after = None if cursor is None else int(_LIVE_CURSOR.parts(cursor)[0])

        asked = (_NEWEST,) if after is None else (_SINCE, after, limit)
        return await self._database.fetch_as(_entry, *asked)

    async def jobs(self, query: JobQuery) -> Page[JobRow]:
        """Return a page of jobs, last changed first."""
        if query.nothing:
            return Page([])
        if query.keys:
            tests = keyed_tests(_SQL, query)
            return await self._database.read(
                lambda connection: decoded(
                    row_to_job_or_stand_in, look_up(connection, query, tests)
                )
            )
        page = PageQuery(
            table="jobs",
            columns=JOB_COLUMNS,
            time="updated_at",
            limit=query.limit,
            ranges=job_ranges(_SQL, query),
            tests=job_tests(_SQL, query),
            tested=_tested(query),
            window=SEARCHED_JOBS,
        )
        return await self._database.read(
            lambda connection: decoded(row_to_job_or_stand_in, page.run(connection))
        )

    async def counts(self) -> Mapping[State, int]:
        """Return jobs per state, kept up to date by triggers."""
        return await self._database.read(count_jobs)

    async def census(self) -> Census:
        """Return the counts, and who has been queued longest."""
        return await self._database.read(take_census)

    async def ended(
        self, *, since: datetime, step: TimeStep, until: datetime | None = None
    ) -> Sequence[EndedCount]:
        """Return what ended in each step, counted by a trigger as it was written."""
        return await self._database.read(
            lambda connection: count_ended(connection, since, step, until)
        )

    async def errors(self, *, since: datetime, step: TimeStep) -> ErrorSummary:
        """Return failures by their groups, counted by a trigger as they were written."""
        return await self._database.read(lambda connection: read_errors(connection, since, step))

    async def run_times(self, *, since: datetime) -> RunTimes:
        """Return how long attempts waited and ran; a trigger keeps the counts."""
        return await self._database.read(lambda connection: read_run_times(connection, since))

    async def lock_uses(self, *, limit: int = 100, waiters: int = 10) -> Sequence[LockUse]:
        """Return lock keys that open jobs name, held ones first."""
        return await self._database.read(
            lambda connection: read_lock_uses(connection, limit, waiters)
        )

    async def open_rows(
        self,
        *,
        states: frozenset[State] | None = None,
        cursor: str | None = None,
        limit: int = 1000,
    ) -> Page[OpenRow]:
        """Return open rows in the order of state and job."""
        wanted = sorted(state.value for state in (frozenset(State) if states is None else states))

        def operation(connection: sqlite3.Connection) -> list[Row]:
            return _open_page(connection, wanted, _open_place(cursor), limit + 1)

        rows = await self._database.read(operation)
        more = len(rows) > limit
        rows = rows[:limit]
        last = f"{rows[-1][2]}~{rows[-1][0]}~{rows[-1][1]}" if more else None
        return Page(list(self._readable(rows)), last)

    def _readable(self, rows: Sequence[Row]) -> Iterator[OpenRow]:
        """The index is a copy: a row in it that cannot be read must not hide all others."""
        for row in rows:
            try:
                yield row_to_open(row)
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                if row[0] not in self._unreadable:
                    _log.warning(OPEN_ROW_UNREADABLE, job_id=row[0], error=str(error))
                    self._unreadable.add(row[0])

    async def lock_waiters(
        self, lock_key: str, *, slots: int = 1, limit: int = 10
    ) -> Sequence[OpenRow]:
        """Return open, claimable jobs of this lock key and slots, longest waiting first."""
        return await self._database.read(
            lambda connection: read_waiters(connection, lock_key, slots, limit)
        )

    async def lock_slots(self, lock_key: str) -> frozenset[int]:
        """Return the numbers of slots that open jobs name with this lock key."""
        return await self._database.read(lambda connection: read_lock_slots(connection, lock_key))


def _event(row: Row) -> Event:
    """Return the timeline's copy of an event."""
    data = row[_DATA]
    if isinstance(data, str):
        row = (*row[:_DATA], copied_data(data), *row[_DATA + 1 :])
    return row_to_event_or_stand_in(row)


def _entry(row: Row) -> TimelineEntry:
    return TimelineEntry(_event(row), str(row[-1]))


def _tested_of_events(query: EventQuery) -> set[str]:
    """Return the columns of the trail that are tested."""
    tested = {column for test in query.tests for column in _EVENT_COLUMNS[test.field]}
    return tested | {"status", "job_type", *(["state"] if query.states else [])}


def _tested(query: JobQuery) -> str:
    """Columns beyond the first four are not in the index: they are named only where needed."""
    by_id = query.dead or query.error_group or query.id_tail is not None
    more = (", lock_key" if query.lock_key else "") + (", job_id" if by_id else "")
    more += ", dismissed" if query.error_group else ""
    named = {column for test in query.tests for column in _COLUMNS.get(test.field, ())}
    more += "".join(f", {column}" for column in sorted(named) if f", {column}" not in more)
    return f"state, job_type, queue, search{more}"


def _open_page(
    connection: sqlite3.Connection, states: list[str], place: tuple[str, str, int], limit: int
) -> list[Row]:
    """States one after the other: each is a range of the index."""
    rows: list[Row] = []
    for state in states:
        after = place[1:] if state == place[0] else ("", 0)
        if state >= place[0] and len(rows) < limit:
            rows += connection.execute(
                f"SELECT {OPEN_COLUMNS} FROM open_jobs WHERE state = ? "
                "AND (job_id, incarnation) > (?, ?) ORDER BY job_id, incarnation LIMIT ?",
                (state, *after, limit - len(rows)),
            )
    return rows


def _open_place(cursor: str | None) -> tuple[str, str, int]:
    if cursor is None:
        return "", "", 0
    state, job_id, incarnation = _OPEN_CURSOR.parts(cursor)
    return state, job_id, int(incarnation)
