"""Questions to timeline, jobs and open rows; each costs about as much as its page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

import structlog

from jobfleet_backends.postgres.batch import Row
from jobfleet_backends.postgres.conditions import PostgresConditions
from jobfleet_backends.postgres.database import Database
from jobfleet_backends.postgres.error_groups import read_errors
from jobfleet_backends.postgres.fleet_counts import count_ended, count_jobs, take_census
from jobfleet_backends.postgres.job_lookup import look_up
from jobfleet_backends.postgres.lock_queues import LockQueues
from jobfleet_backends.postgres.page_query import PageQuery
from jobfleet_backends.postgres.run_times import read_run_times
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
    decoded,
    row_to_event_or_stand_in,
    row_to_job_or_stand_in,
    row_to_open,
)
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
from jobfleet_contracts.run_times import RunTimes
from jobfleet_contracts.state import State

OPEN_ROW_UNREADABLE = "open_row.unreadable"
SEARCHED_JOBS = 100_000
"""Jobs that one page of a search looks through at most."""
SEARCHED_EVENTS = 50_000
"""Likewise of events; their rows are wide."""

_SQL = PostgresConditions()

# Rows of transactions that may still commit are left out, and all behind them: so no row ever
# appears before a place that a reader has passed. They come when the oldest of them has ended.
_SETTLED = "xid < pg_snapshot_xmin(pg_current_snapshot())"
# A column of the answer named xid would be what ORDER BY sorts by: a text, and 999 after 1000.
_LIVE = f"""
SELECT {EVENT_COLUMNS}, xid::text AS written_by, position FROM jobfleet.trail WHERE {_SETTLED}
"""
_SINCE = f"""
{_LIVE} AND (xid, position) > (%s::text::xid8, %s::bigint) ORDER BY xid, position LIMIT %s
"""
_NEWEST = f"{_LIVE} ORDER BY xid DESC, position DESC LIMIT 1"
_OPEN_PAGE = f"""
SELECT {OPEN_COLUMNS} FROM jobfleet.open_jobs WHERE state = %s
AND (job_id, incarnation) > (%s, %s) ORDER BY job_id, incarnation LIMIT %s
"""

_LIVE_CURSOR = CursorForm(f"({NUMBER})~({NUMBER})")
_OPEN_CURSOR = CursorForm(f"([A-Za-z]*)~([^~]*)~({NUMBER})")
_DATA = EVENT_COLUMNS.split(", ").index("data")

_log = structlog.get_logger()


class PostgresJobIndexReader:
    """Reads the trail as the timeline, and the tables ``jobs`` and ``open_jobs``."""

    def __init__(self, *, database: Database) -> None:
        self._database = database
        self._locks = LockQueues(database=database)
        self._unreadable: set[str] = set()

    async def events(self, query: EventQuery) -> Page[Event]:
        """Return a page of the timeline, newest first."""
        if query.nothing:
            return Page([])
        page = PageQuery(
            schema=self._database.schema,
            table="trail",
            columns=EVENT_COLUMNS,
            time="occurred_at",
            limit=query.limit,
            ranges=event_ranges(_SQL, query),
            tests=event_tests(_SQL, query),
            window=SEARCHED_EVENTS,
        )
        return await self._database.read(lambda session: decoded(_event, page.run(session)))

    async def since(self, cursor: str | None, limit: int = 500) -> Sequence[TimelineEntry]:
        """Return events after a live cursor, oldest first; it names transaction and position."""
        if cursor is None:
            return await self._database.fetch_as(_entry, _NEWEST)
        xid, position = _LIVE_CURSOR.parts(cursor)
        return await self._database.fetch_as(_entry, _SINCE, xid, int(position), limit)

    async def jobs(self, query: JobQuery) -> Page[JobRow]:
        """Return a page of jobs, last changed first."""
        if query.nothing:
            return Page([])
        if query.keys:
            tests, schema = keyed_tests(_SQL, query), self._database.schema
            return await self._database.read(
                lambda session: decoded(
                    row_to_job_or_stand_in, look_up(session, schema, query, tests)
                )
            )
        page = PageQuery(
            schema=self._database.schema,
            table="jobs",
            columns=JOB_COLUMNS,
            time="updated_at",
            limit=query.limit,
            ranges=job_ranges(_SQL, query),
            tests=job_tests(_SQL, query),
            window=SEARCHED_JOBS,
        )
        return await self._database.read(
            lambda session: decoded(row_to_job_or_stand_in, page.run(session))
        )

    async def counts(self) -> Mapping[State, int]:
        """Return jobs per state, added up from what each statement changed."""
        return await count_jobs(self._database)

    async def census(self) -> Census:
        """Return the counts, and who has been queued longest."""
        return await take_census(self._database)

    async def ended(
        self, *, since: datetime, step: TimeStep, until: datetime | None = None
    ) -> Sequence[EndedCount]:
        """Return what ended in each step, counted as it was written."""
        return await count_ended(self._database, since=since, step=step, until=until)

    async def errors(self, *, since: datetime, step: TimeStep) -> ErrorSummary:
        """Return failures by their groups, counted as they were written."""
        return await read_errors(self._database, since=since, step=step)

    async def run_times(self, *, since: datetime) -> RunTimes:
        """Return how long attempts waited and ran, counted as the trail is written."""
        return await read_run_times(self._database, since)

    async def lock_uses(self, *, limit: int = 100, waiters: int = 10) -> Sequence[LockUse]:
        """Return lock keys that open jobs name, held ones first."""
        return await self._locks.uses(limit, waiters)

    async def open_rows(
        self,
        *,
        states: frozenset[State] | None = None,
        cursor: str | None = None,
        limit: int = 1000,
    ) -> Page[OpenRow]:
        """Return open rows in the order of state and job."""
        wanted = sorted(state.value for state in (frozenset(State) if states is None else states))

        place = _open_place(cursor)
        rows: list[Row] = []
        for state in wanted:
            after = place[1:] if state == place[0] else ("", 0)
            left = limit + 1 - len(rows)
            if state >= place[0] and left > 0:
                rows += await self._database.fetch(_OPEN_PAGE, state, *after, left)
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
        return await self._locks.waiters(lock_key, slots, limit)

    async def lock_slots(self, lock_key: str) -> frozenset[int]:
        """Return the numbers of slots that open jobs name with this lock key."""
        return await self._locks.slots(lock_key)


def _event(row: Row) -> Event:
    """Return the timeline's copy of an event."""
    copy = copied_data(row[_DATA])
    return row_to_event_or_stand_in((*row[:_DATA], copy, *row[_DATA + 1 :]))


def _entry(row: Row) -> TimelineEntry:
    return TimelineEntry(_event(row), f"{row[-2]}~{row[-1]}")


def _open_place(cursor: str | None) -> tuple[str, str, int]:
    if cursor is None:
        return "", "", 0
    state, job_id, incarnation = _OPEN_CURSOR.parts(cursor)
    return state, job_id, int(incarnation)
