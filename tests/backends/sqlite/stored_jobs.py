"""Fills a database quickly with histories of four events a job."""

from __future__ import annotations

import sqlite3
from datetime import timedelta
from pathlib import Path

from jobfleet_backends.sql.row_codec import (
    EVENT_COLUMNS,
    JOB_COLUMNS,
    OPEN_COLUMNS,
    marks,
    open_to_row,
)
from jobfleet_contracts.codec import format_time
from jobfleet_contracts.cut_text import cut_text
from jobfleet_contracts.error_group import ErrorKey
from jobfleet_contracts.state import State
from tests.conformance.jobs import BEGIN, open_row, queued

STORED_GROUP = ErrorKey("demo.steps", "", "").group_id
"""Of every tenth job, which failed."""
NEWEST = BEGIN.replace(minute=10, second=0) - timedelta(hours=2)
"""When the newest job ended: in every hour of the day as many of them are of the hour begun."""
_STATUS = (
    "CASE step WHEN 1 THEN 'Queued' WHEN 2 THEN 'Started' WHEN 3 THEN 'Step 1' ELSE ending END"
)
_STATE = "CASE step WHEN 1 THEN 'queued' WHEN 4 THEN lower(ending) ELSE 'running' END"
_JOBS = """
WITH RECURSIVE numbers (n) AS (SELECT :first UNION ALL SELECT n + 1 FROM numbers WHERE n < :last)
SELECT n, printf('%08x-0000-7000-8000-%012x', n, n) AS job_id,
    printf('job number %d of many', n) AS job_name,
    strftime('%Y-%m-%dT%H:%M:%S.000000Z', :begin, printf('-%d seconds', :last - n)) AS moment,
    CASE WHEN n % 10 = 0 THEN 'Failed' ELSE 'Completed' END AS ending
FROM numbers
"""
_TRAIL = f"""
INSERT INTO trail ({EVENT_COLUMNS})
SELECT job_id, step, {_STATUS}, {_STATE}, 'a message of usual length', moment, 'w1', 1, 1, 12,
    '{{"request":{{"type":"demo.steps","payload":{{"steps":5}}}}}}', job_id || step, 'w1',
    'job/' || job_id, NULL, NULL, 0, 3, 1, 0, 0, 0, 0, min(step - 1, 2), NULL, 5,
    job_name, 'demo.steps', 'default', 5, NULL, moment, 1,
    hex(zeroblob(16)), hex(zeroblob(32)), hex(zeroblob(32)), hex(zeroblob(32))
FROM ({_JOBS}), (SELECT value AS step FROM json_each(:steps))
"""  # noqa: S608 - constants
_INDEX = f"""
INSERT INTO jobs ({JOB_COLUMNS}, search)
SELECT job_id, lower(ending), ending, 4, 1, 3, 1, 1, 'w1', 'done', moment, NULL, 0,
    job_name, 'demo.steps', 'default', 5, NULL, moment, 1, 12, NULL, NULL,
    CASE WHEN n % 10 = 0 THEN '{STORED_GROUP}' END, job_name
FROM ({_JOBS})
"""  # noqa: S608 - constants
_OPEN = f"INSERT INTO open_jobs ({OPEN_COLUMNS}) VALUES {marks(OPEN_COLUMNS)}"  # noqa: S608


def store_jobs(path: Path, count: int, *, first: int = 1, steps: str = "[1,2,3,4]") -> None:
    """Store jobs numbered from ``first``, each a second younger than the one before."""
    connection = sqlite3.connect(path, timeout=10)
    connection.create_function("cut_text", 2, cut_text)  # a trigger of the schema calls it
    connection.execute("PRAGMA synchronous=OFF")
    connection.execute("PRAGMA cache_size=-400000")
    begin = format_time(NEWEST)[:19]
    values = {"first": first, "last": first + count - 1, "begin": begin, "steps": steps}
    with connection:
        connection.execute(_TRAIL, values)
        connection.execute(_INDEX, values)
    connection.close()


def store_waiters(path: Path, count: int, *, first: int = 1) -> None:
    """Store open rows of a lock key ``k``, half of them queued and half deferred."""
    rows = []
    for number in range(first, first + count):
        state = State.QUEUED if number % 2 else State.DEFERRED
        event = queued(at=number / 1000, lock_key="k", job_id=stored_job_id(number))
        rows.append(open_to_row(open_row(event, state=state, sequence=1)))
    connection = sqlite3.connect(path, timeout=10)
    with connection:
        connection.executemany(_OPEN, rows)
    connection.close()


def stored_job_id(number: int) -> str:
    """Id of a stored job."""
    return f"{number:08x}-0000-7000-8000-{number:012x}"
