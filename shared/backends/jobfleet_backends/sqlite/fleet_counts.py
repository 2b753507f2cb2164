"""Counts of jobs: those there are, and those that ended in a minute or an hour."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime

from jobfleet_backends.sql.row_codec import OPEN_COLUMNS, readable_open_rows
from jobfleet_backends.sqlite.error_counts import start_of
from jobfleet_backends.sqlite.schema import CONFIRMED
from jobfleet_contracts.codec import format_time
from jobfleet_contracts.index import Census, EndedCount, OpenRow, TimeStep
from jobfleet_contracts.state import State

# A jump from queue to queue: each look takes the first row behind the queue before.
_QUEUES = f"""
WITH RECURSIVE queues (name) AS (
    SELECT min(queue) FROM open_jobs INDEXED BY open_jobs_queued
    WHERE state = 'queued' AND {CONFIRMED}
    UNION ALL
    SELECT (SELECT min(queue) FROM open_jobs INDEXED BY open_jobs_queued
        WHERE state = 'queued' AND queue > name AND {CONFIRMED})
    FROM queues WHERE name IS NOT NULL
)
SELECT name FROM queues WHERE name IS NOT NULL
"""
_LONGEST_QUEUED = f"""
SELECT {OPEN_COLUMNS} FROM open_jobs WHERE state = 'queued' AND queue = ?
AND {CONFIRMED} ORDER BY opened_at LIMIT 1
"""
_QUEUED = f"""
SELECT queue, count(*) FROM open_jobs INDEXED BY open_jobs_queued
WHERE state = 'queued' AND {CONFIRMED} GROUP BY queue
"""
_ENDED = """
SELECT substr(minute, 1, :length), state, sum(jobs), sum(timed), sum(duration_ms)
FROM endings WHERE minute >= :since AND minute < :until GROUP BY 1, 2 ORDER BY 1, 2
"""
_NEVER = ":"
"""Comes behind every year."""
_LENGTHS: Mapping[TimeStep, int] = {"minute": 16, "hour": 13}


def count_jobs(connection: sqlite3.Connection) -> Mapping[State, int]:
    """Return jobs per state, kept up to date by triggers."""
    rows: list[tuple[str, int]] = connection.execute(
        "SELECT state, jobs FROM state_counts"
    ).fetchall()
    return {State(state): jobs for state, jobs in rows if jobs and state in set(State)}


def take_census(connection: sqlite3.Connection) -> Census:
    """Return the counts, and of each queue how many jobs are queued and which one longest."""
    longest: dict[str, OpenRow] = {}
    for (queue,) in connection.execute(_QUEUES).fetchall():
        for row in readable_open_rows(connection.execute(_LONGEST_QUEUED, (queue,))):
            longest[queue] = row
    return Census(count_jobs(connection), longest, dict(connection.execute(_QUEUED).fetchall()))


def count_ended(
    connection: sqlite3.Connection, since: datetime, step: TimeStep, until: datetime | None
) -> Sequence[EndedCount]:
    """Return what ended in each step, oldest first."""
    length = _LENGTHS[step]
    end = _NEVER if until is None else format_time(until)[:16]
    values = {"length": length, "since": format_time(since)[:length], "until": end}
    found: list[EndedCount] = []
    for start, state, jobs, timed, duration_ms in connection.execute(_ENDED, values):
        with suppress(ValueError):  # a row edited by hand must not hide all others
            found.append(EndedCount(start_of(start), State(state), jobs, timed, duration_ms))
    return found
