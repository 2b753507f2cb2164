"""The same pages over a PostgreSQL database: a copy of the embedded one, row by row."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
from pydantic import SecretStr

from devtools.bench_dashboard import embedded_row
from devtools.bench_dashboard.cpu_time import postmaster
from devtools.bench_dashboard.served import dashboard
from devtools.bench_dashboard.served_here import asked_of
from devtools.bench_dashboard.timing import Timed, timed, with_counts
from devtools.servers import choose_own_postgres
from jobfleet_backends.open_backend import migrate_backend
from jobfleet_backends.postgres.job_index import LISTED_COLUMNS
from jobfleet_backends.settings import Settings
from jobfleet_backends.sql.row_codec import EVENT_COLUMNS, OPEN_COLUMNS
from jobfleet_backends.sqlite.database import FILE_NAME

_FAILED = "job_type, error, place, jobs, retried, first_at, last_at, message, job_id"
_TIMED = "job_type, kind, bucket, runs"
_SLOW = "ended_at, duration_ms, job_id, sequence, job_name, job_type, attempt, kind"
_ENDED = "minute, state, jobs, timed, duration_ms"
_LOG = "subject, name, sequence, entry_id, kind, by_whom, occurred_at, reason, details, state"
_KEYS = "key, value, created_at, job_id"
_LOGS = "job_id, epoch, position, body"
_LETTERS = "letter_id, received_at, reason, message_id, body"
_WORKERS = "worker_id, started_at, heartbeat_at, status"
_MINUTE = "start || ':00Z'"
_COPIED = {
    "trail": (EVENT_COLUMNS, f"{EVENT_COLUMNS} FROM trail ORDER BY position"),
    "jobs": (LISTED_COLUMNS, f"{LISTED_COLUMNS} FROM jobs ORDER BY position"),
    "open_jobs": (OPEN_COLUMNS, f"{OPEN_COLUMNS} FROM open_jobs"),
    "job_keys": (_KEYS, f"{_KEYS} FROM job_keys"),
    "errors": (
        f"minute, {_FAILED}",
        f"{_MINUTE}, {_FAILED} FROM errors WHERE step = 'minute'",
    ),
    "type_times": (
        f"start, {_TIMED}",
        f"start || '0:00Z', {_TIMED} FROM type_times",
    ),
    "slow_runs": (_SLOW, f"{_SLOW} FROM slow_runs"),
    "endings": (_ENDED, f"minute || ':00Z', {_ENDED.removeprefix('minute, ')} FROM endings"),
    "control_log": (_LOG, f"{_LOG} FROM control_log"),
    "group_marks": ("partition, row_key, value", "partition, row, value FROM group_marks"),
    "messages": (
        "queue, lane, body, hints",
        "queue, lane, CAST(body AS TEXT), hints FROM messages",
    ),
    "payloads": ("name, body", "name, body FROM payloads"),
    "job_logs": (_LOGS, f"{_LOGS} FROM job_logs"),
    "dead_letters": (_LETTERS, f"{_LETTERS} FROM dead_letters"),
    "workers": (_WORKERS, f"{_WORKERS} FROM workers"),
}
"""Columns there, and what they are selected from here."""
_QUEUES = "INSERT INTO jobfleet.queues SELECT DISTINCT queue FROM jobfleet.messages"


async def measure(folder: Path, *, events: int, repeats: int) -> list[Timed]:
    """Fill, serve, and time every page."""
    paths = await embedded_row.fill(folder, events)
    server = choose_own_postgres(folder)
    server.start()
    settings = Settings(_env_file=None, backend="postgres", postgres_url=SecretStr(server.url))
    try:
        _copy(folder / FILE_NAME, server.url, settings)
        asked = await asked_of(settings, paths)
        named = {"JOBFLEET_BACKEND": "postgres", "JOBFLEET_POSTGRES_URL": server.url}
        with dashboard(named) as (address, pid):
            return with_counts(
                timed(address, [pid, postmaster(server.url)], paths.items(), repeats=repeats), asked
            )
    finally:
        server.stop()


def _copy(path: Path, url: str, settings: Settings) -> None:
    """Copy the whole database, unless it is there already."""
    filled = str(path.stat().st_ino)
    with psycopg.connect(url, autocommit=True) as target:
        if _is_filled(target, filled):
            return
        target.execute("DROP SCHEMA IF EXISTS jobfleet CASCADE")
    migrate_backend(settings)
    with closing(sqlite3.connect(path)) as source, psycopg.connect(url) as target:
        for table, (columns, selected) in _COPIED.items():
            rows: Any = source.execute(f"SELECT {selected}")
            into = f"COPY jobfleet.{table} ({columns}) FROM STDIN"
            with target.cursor().copy(into.encode()) as copy:
                for row in rows:
                    copy.write_row(row)
        target.execute(_QUEUES)
        target.execute(f"COMMENT ON TABLE jobfleet.trail IS '{filled}'")
        target.commit()
        target.autocommit = True
        target.execute("VACUUM ANALYZE")


def _is_filled(target: psycopg.Connection[Any], filled: str) -> bool:
    row = target.execute("SELECT obj_description(to_regclass('jobfleet.trail'))").fetchone()
    return row is not None and row[0] == filled
