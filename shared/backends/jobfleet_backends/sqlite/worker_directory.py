"""Who works here: one row per worker, replaced with each heartbeat."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import timedelta

import orjson

from jobfleet_backends.sqlite.database import Database
from jobfleet_contracts.codec import encode_text, format_time
from jobfleet_contracts.worker_status import WorkerStatus

SILENT_WORKER_KEPT = timedelta(hours=1)

_BEAT = "INSERT OR REPLACE INTO workers VALUES (?, ?, ?, ?)"


class SqliteWorkerDirectory:
    """Rows of the table ``workers``."""

    def __init__(self, *, database: Database) -> None:
        self._database = database

    async def beat(self, status: WorkerStatus) -> None:
        """Replace this worker's row."""
        row = (
            status.worker_id,
            format_time(status.started_at),
            format_time(status.heartbeat_at),
            encode_text(status),
        )
        await self._database.write(lambda connection: connection.execute(_BEAT, row))

    async def workers(self, *, with_stopped: bool = False) -> Sequence[WorkerStatus]:
        """Return every worker heard of within the hour, longest running first; see ``read``."""
        rows: list[tuple[str, str, str]] = await self._database.read(_rows)
        oldest = format_time(self._database.clock.now() - SILENT_WORKER_KEPT)
        if any(heartbeat < oldest for _, heartbeat, _ in rows):
            statement = "DELETE FROM workers WHERE heartbeat_at < ?"
            await self._database.write(lambda connection: connection.execute(statement, (oldest,)))
        found = [_status(key, text) for key, heartbeat, text in rows if heartbeat >= oldest]
        return [status for status in found if with_stopped or status.stopped_at is None]


def _rows(connection: sqlite3.Connection) -> list[tuple[str, str, str]]:
    statement = "SELECT worker_id, heartbeat_at, status FROM workers ORDER BY started_at, worker_id"
    return connection.execute(statement).fetchall()


def _status(worker_id: str, text: str) -> WorkerStatus:
    try:
        fields = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        return WorkerStatus(worker_id=worker_id, unreadable=f"no JSON: {error}")
    if not isinstance(fields, dict):
        return WorkerStatus(worker_id=worker_id, unreadable="no JSON object")
    return WorkerStatus.read(worker_id, fields)
