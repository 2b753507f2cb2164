"""The same pages over a PostgreSQL database: a copy of the embedded one, row by row."""

# ruff: noqa: S608 - all statements are made of constants

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
from pydantic import SecretStr

from devtools.bench_dashboard import embedded_row
from devtools.bench_dashboard.served import dashboard
from devtools.bench_dashboard.timing import Timed, timed
from devtools.servers import choose_own_postgres
from jobfleet_backends.open_backend import migrate_backend
from jobfleet_backends.postgres.job_index import LISTED_COLUMNS
from jobfleet_backends.settings import Settings
from jobfleet_backends.sql.row_codec import EVENT_COLUMNS, OPEN_COLUMNS
from jobfleet_backends.sqlite.database import FILE_NAME

_COPIED = {
    "trail": EVENT_COLUMNS,
    "jobs": LISTED_COLUMNS,
    "open_jobs": OPEN_COLUMNS,
    "payloads": "name, body",
    "dead_letters": "letter_id, received_at, reason, message_id, body",
    "workers": "worker_id, started_at, heartbeat_at, status",
}
_ORDER = {"trail": "ORDER BY position", "jobs": "ORDER BY position"}
_ENDINGS = """
INSERT INTO jobfleet.endings
SELECT date_trunc('minute', occurred_at), state, count(*), count(duration_ms),
    coalesce(sum(duration_ms), 0)
FROM jobfleet.trail WHERE status IN ('Completed', 'Failed', 'Cancelled', 'TimedOut') GROUP BY 1, 2
"""


async def measure(folder: Path, *, events: int, repeats: int) -> list[Timed]:
    """Fill, serve, and time every page."""
    paths = await embedded_row.fill(folder, events)
    server = choose_own_postgres(folder)
    server.start()
    try:
        _copy(folder / FILE_NAME, server.url)
        named = {"JOBFLEET_BACKEND": "postgres", "JOBFLEET_POSTGRES_URL": server.url}
        with dashboard(named) as (address, pid):
            return timed(address, pid, paths.items(), repeats=repeats)
    finally:
        server.stop()


def _copy(path: Path, url: str) -> None:
    """Copy what is not there yet."""
    migrate_backend(Settings(_env_file=None, backend="postgres", postgres_url=SecretStr(url)))
    with closing(sqlite3.connect(path)) as source, psycopg.connect(url) as target:
        if target.execute("SELECT 1 FROM jobfleet.trail LIMIT 1").fetchone() is not None:
            return
        for table, columns in _COPIED.items():
            rows: Any = source.execute(f"SELECT {columns} FROM {table} {_ORDER.get(table, '')}")
            into = f"COPY jobfleet.{table} ({columns}) FROM STDIN"
            with target.cursor().copy(into.encode()) as copy:
                for row in rows:
                    copy.write_row(row)
        target.execute(_ENDINGS)
        target.commit()
        target.autocommit = True
        target.execute("VACUUM ANALYZE")
