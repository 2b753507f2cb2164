"""Counts of jobs: those there are, and those that ended in a minute or an hour."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime

from jobfleet_backends.postgres.database import Database
from jobfleet_backends.postgres.error_groups import begin_of
from jobfleet_backends.postgres.schema import CONFIRMED
from jobfleet_backends.sql.row_codec import OPEN_COLUMNS, readable_open_rows
from jobfleet_contracts.codec import format_time, parse_time
from jobfleet_contracts.index import Census, EndedCount, OpenRow, TimeStep
from jobfleet_contracts.state import State

# A jump from queue to queue: each look takes the first row behind the queue before.
_LONGEST_QUEUED = f"""
WITH RECURSIVE queues (name) AS (
    SELECT min(queue) FROM jobfleet.open_jobs WHERE state = 'queued' AND {CONFIRMED}
    UNION ALL
    SELECT (SELECT min(queue) FROM jobfleet.open_jobs
        WHERE state = 'queued' AND queue > name AND {CONFIRMED})
    FROM queues WHERE name IS NOT NULL
)
SELECT longest.* FROM queues CROSS JOIN LATERAL (
    SELECT {OPEN_COLUMNS} FROM jobfleet.open_jobs
    WHERE state = 'queued' AND queue = name AND {CONFIRMED} ORDER BY opened_at LIMIT 1
) AS longest
"""
_QUEUED = f"""
SELECT queue, count(*) FROM jobfleet.open_jobs
WHERE state = 'queued' AND {CONFIRMED} GROUP BY queue
"""
_COUNTS = "SELECT state, sum(jobs)::bigint FROM jobfleet.state_counts GROUP BY state"
# The step is found in UTC, whatever time zone the session has.
_ENDED = """
SELECT date_trunc(%s, minute AT TIME ZONE 'UTC')::text, state, sum(jobs)::bigint,
    sum(timed)::bigint, sum(duration_ms)::bigint
FROM jobfleet.endings WHERE minute >= %s AND minute < %s GROUP BY 1, 2 ORDER BY 1, 2
"""


async def count_jobs(database: Database) -> Mapping[State, int]:
    """Return jobs per state: what all statements changed, added up."""
    rows = await database.fetch(_COUNTS)
    return {State(state): jobs for state, jobs in rows if jobs and state in set(State)}


async def take_census(database: Database) -> Census:
    """Return the counts, and of each queue how many jobs are queued and which one longest."""
    longest: dict[str, OpenRow] = {}
    for row in readable_open_rows(await database.fetch(_LONGEST_QUEUED)):
        longest[row.facts.queue] = row
    queued = {str(queue): int(jobs) for queue, jobs in await database.fetch(_QUEUED)}
    return Census(await count_jobs(database), longest, queued)


async def count_ended(
    database: Database, *, since: datetime, step: TimeStep, until: datetime | None
) -> Sequence[EndedCount]:
    """Return what ended in each step, oldest first."""
    begin = format_time(begin_of(since, step))
    end = "infinity" if until is None else format_time(begin_of(until, "minute"))
    found: list[EndedCount] = []
    rows = await database.fetch(_ENDED, step, begin, end)
    for start, state, jobs, timed, duration_ms in rows:
        with suppress(ValueError):  # a row edited by hand must not hide all others
            moment = parse_time(f"{start}+00")
            found.append(EndedCount(moment, State(state), jobs, timed, duration_ms))
    return found
