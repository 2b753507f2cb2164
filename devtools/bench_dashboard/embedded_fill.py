"""Fills an embedded database quickly, through its own schema and codecs."""

# ruff: noqa: S608 - all statements are made of constants

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from devtools.bench_dashboard.landmarks import WORKER, History, Landmarks, open_row_of
from jobfleet_backends.sql.row_codec import (
    EVENT_COLUMNS,
    JOB_COLUMNS,
    OPEN_COLUMNS,
    event_to_job_row,
    event_to_row,
    marks,
    open_to_row,
)
from jobfleet_backends.sqlite.connection import connect
from jobfleet_contracts.codec import encode, format_time
from jobfleet_contracts.error_group import ErrorKey
from jobfleet_contracts.event import Event
from jobfleet_contracts.lookup_keys import keys_in

EVENTS_A_JOB = 5
FAILED_NUMBER = 57
"""A number whose job failed, as that of each 50th after it did."""
SPAN_DAYS = 2.0
"""Ended jobs are spread evenly over this time before now."""

_ENDED = """
WITH RECURSIVE numbers (n) AS (SELECT :first UNION ALL SELECT n + 1 FROM numbers WHERE n < :last)
SELECT n, printf('%08x-0000-7000-8000-%012x', n, n) AS job_id,
    printf('%s %d', json_extract('["sort parcels","resize photo","send letter","close books"]',
        '$[' || (n % 4) || ']'), n) AS job_name,
    printf('bench.type-%d', n % 40) AS job_type,
    json_extract('["default","mail","reports"]', '$[' || (n % 3) || ']') AS queue,
    CASE WHEN n % 20 = 0 THEN printf('customer-%d', n % 500) END AS lock_key,
    (:last - n) * :spacing AS age,
    CASE WHEN n % 50 = 7 THEN 'Failed' WHEN n % 100 = 9 THEN 'TimedOut'
        WHEN n % 100 = 11 THEN 'Cancelled' ELSE 'Completed' END AS ending,
    CASE WHEN n % 50 = 7 THEN printf('host %d refused the connection', n % 7)
        WHEN n % 100 = 9 THEN printf('not done after %d s', n % 90) ELSE 'done' END AS ended_as,
    CASE WHEN n % 50 = 7 THEN json_extract('["ConnectionError","QuotaExceeded"]',
            '$[' || (n % 2) || ']')
        WHEN n % 100 = 9 THEN 'TimeoutError' END AS error,
    CASE WHEN n % 50 = 7 THEN printf('crm.sync:step_%d', n % 3) ELSE '' END AS place,
    printf('customer-%d', n % 1000) AS customer
FROM numbers
"""
_STATE = "CASE ending WHEN 'TimedOut' THEN 'timedOut' ELSE lower(ending) END"
_MOMENT = "strftime('%Y-%m-%dT%H:%M:%f000Z', :now, printf('-%.3f seconds', {}))"
_REQUEST = """json_object('request', json_object('type', job_type, 'jobId', job_id,
    'jobName', job_name, 'queue', queue, 'priority', 5, 'createdAt', moment,
    'payload', json_object('steps', 5, 'customer', customer,
        'note', 'a payload of the usual length, which is short')),
    'indexed', json_object('payload.customer', customer))"""
_DATA = f"""CASE step WHEN 1 THEN {_REQUEST} WHEN 3 THEN '{{"step":1,"of":2}}'
    WHEN 4 THEN '{{"step":2,"of":2}}' WHEN 5 THEN CASE WHEN error IS NULL
        THEN '{{"result":{{"rows":12}}}}' ELSE json_object('error',
            json_object('type', error, 'message', ended_as, 'place', place)) END
    ELSE '{{}}' END"""
_TRAIL = f"""
INSERT INTO trail ({EVENT_COLUMNS})
SELECT job_id, step,
    CASE step WHEN 1 THEN 'Queued' WHEN 2 THEN 'Started' WHEN 5 THEN ending
        ELSE 'Step ' || (step - 2) END,
    CASE step WHEN 1 THEN 'queued' WHEN 5 THEN {_STATE} ELSE 'running' END,
    CASE step WHEN 5 THEN ended_as ELSE 'a message of the usual length' END,
    {_MOMENT.format("age + 2 * (5 - step)")}, '{WORKER}', step > 1, step > 1,
    CASE WHEN step IN (2, 5) THEN 100 + n % 900 END, {_DATA}, job_id || '-' || step,
    CASE WHEN step > 1 THEN '{WORKER}' END, CASE WHEN step > 1 THEN 'job/' || job_id END,
    NULL, NULL, step > 1, 3, 1, 0, 0, 0, 0, min(step - 1, 2), NULL, 5,
    job_name, job_type, queue, 5, lock_key, moment, 1,
    hex(zeroblob(16)), hex(zeroblob(32)), hex(zeroblob(32)), hex(zeroblob(32))
FROM (SELECT *, {_MOMENT.format("age + 8")} AS moment FROM ({_ENDED})),
    (SELECT value AS step FROM json_each('[1,2,3,4,5]'))
"""
_JOBS = f"""
INSERT INTO jobs ({JOB_COLUMNS}, search)
SELECT job_id, {_STATE}, ending, 5, 1, 3, 1, 1, '{WORKER}', ended_as, {_MOMENT.format("age")},
    NULL, 0, job_name, job_type, queue, 5, lock_key, {_MOMENT.format("age + 8")}, 1, 100 + n % 900,
    NULL, NULL, error_group(job_type, error, place),
    lower(job_name || char(10) || coalesce(lock_key, ''))
FROM ({_ENDED})
"""
_KEYS = f"""
INSERT INTO job_keys
SELECT 'payload.customer', customer, {_MOMENT.format("age + 8")}, job_id FROM ({_ENDED})
"""
_KEY = "INSERT INTO job_keys VALUES (?, ?, ?, ?)"
_EVENT = f"INSERT INTO trail ({EVENT_COLUMNS}) VALUES {marks(EVENT_COLUMNS)}"
_JOB = f"INSERT INTO jobs ({JOB_COLUMNS}, search) VALUES {marks(JOB_COLUMNS + ', search')}"
_OPEN = f"INSERT INTO open_jobs ({OPEN_COLUMNS}) VALUES {marks(OPEN_COLUMNS)}"
_MAX_INLINE = 30_000


def store_ended(path: Path, count: int, *, now: datetime, first: int = 1) -> None:
    """Store ended jobs numbered from ``first``, five events each; the last one ended just now."""
    values = {
        "first": first,
        "last": first + count - 1,
        "spacing": SPAN_DAYS * 86_400 / max(count, 1),
        "now": format_time(now)[:19],
    }
    with _quick(path) as connection:
        connection.execute(_TRAIL, values)
        connection.execute(_JOBS, values)
        connection.execute(_KEYS, values)


def store_landmarks(path: Path, found: Landmarks) -> None:
    """Store histories with the open rows of those that have not ended, and large values apart."""
    with _quick(path) as connection:
        for history in found.histories():
            connection.executemany(_EVENT, [event_to_row(e) for e in _inlined(connection, history)])
        newest = [event_to_job_row(history[-1]) for history in found.histories()]
        connection.executemany(_JOB, newest)
        connection.executemany(_KEY, _keys(found))
        rows = [row for history in found.histories() if (row := open_row_of(history))]
        connection.executemany(_OPEN, [open_to_row(row) for row in rows])


def store_letters(path: Path, count: int, *, now: datetime) -> None:
    """Store malformed messages with long bodies."""
    with _quick(path) as connection:
        connection.executemany(
            "INSERT INTO dead_letters (letter_id, received_at, reason, body) VALUES (?, ?, ?, ?)",
            [
                (
                    f"{n:08x}-0000-7000-8000-00000000dead",
                    format_time(now),
                    "type: missing",
                    b'{"no": "job"}' * 5_000,
                )
                for n in range(count)
            ],
        )


def error_group_of(number: int) -> str:
    """Return the id of the error group in which the failed job of this number stands."""
    error = "QuotaExceeded" if number % 2 else "ConnectionError"
    key = ErrorKey(f"bench.type-{number % 40}", error, f"crm.sync:step_{number % 3}")
    return key.group_id


def ended_job_id(number: int) -> str:
    """Id of a stored job."""
    return f"{number:08x}-0000-7000-8000-{number:012x}"


def _keys(found: Landmarks) -> Iterator[tuple[str, str, str, str]]:
    for event in (event for history in found.histories() for event in history):
        for key, value in keys_in(event).items():
            yield key, value, format_time(event.facts.created_at), event.job_id


def _error_group(job_type: str, error: str | None, place: str) -> str | None:
    return None if error is None else ErrorKey(job_type, error, place).group_id


def _inlined(connection: sqlite3.Connection, history: History) -> Sequence[Event]:
    kept: list[Event] = []
    for event in history:
        body = encode(event.data) if event.data else b""
        if len(body) <= _MAX_INLINE:
            kept.append(event)
            continue
        name = f"{event.job_id}/{event.after.epoch}/{event.event_id}"
        connection.execute("INSERT INTO payloads VALUES (?, ?)", (name, body))
        kept.append(replace(event, data={"blob": name, "size": len(body)}))
    return kept


@contextmanager
def _quick(path: Path) -> Iterator[sqlite3.Connection]:
    """One transaction; nothing here has to survive a power cut."""
    connection = connect(path, busy_seconds=30)
    connection.create_function("error_group", 3, _error_group, deterministic=True)
    connection.execute("PRAGMA synchronous=OFF")
    connection.execute("PRAGMA cache_size=-400000")
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
        connection.execute("COMMIT")
    finally:
        connection.close()
