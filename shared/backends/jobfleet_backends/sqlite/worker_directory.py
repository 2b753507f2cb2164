"""Who works here: one row per worker, replaced with each heartbeat."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime

import orjson

from jobfleet_backends.sqlite.database import Database
from jobfleet_contracts.codec import encode_text, format_time
from jobfleet_contracts.worker_status import LISTED, WorkerStatus

_BEAT = "INSERT OR REPLACE INTO workers VALUES (?, ?, ?, ?)"
_ROWS = """
SELECT worker_id, status FROM workers WHERE heartbeat_at >= ? ORDER BY started_at, worker_id
"""
_ROW = "SELECT worker_id, status FROM workers WHERE worker_id = ?"
_FORGET = """
DELETE FROM workers WHERE worker_id IN
    (SELECT worker_id FROM workers WHERE heartbeat_at < ? LIMIT 1000)
"""


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
        oldest = format_time(self._database.clock.now() - LISTED)
        found = [_status(*row) for row in await self._read(_ROWS, oldest)]
        return [status for status in found if with_stopped or status.stopped_at is None]

    async def worker(self, worker_id: str) -> WorkerStatus | None:
        """Return one worker, by its row's key."""
        rows = await self._read(_ROW, worker_id)
        return _status(*rows[0]) if rows else None

    async def forget(self, before: datetime) -> None:
        """Remove rows of workers that were last heard of before; 1,000 a call."""
        values = (format_time(before),)
        await self._database.write(lambda connection: connection.execute(_FORGET, values))

    async def _read(self, statement: str, value: str) -> list[tuple[str, str]]:
        def read(connection: sqlite3.Connection) -> list[tuple[str, str]]:
            return connection.execute(statement, (value,)).fetchall()

        return await self._database.read(read)


def _status(worker_id: str, text: str) -> WorkerStatus:
    try:
        fields = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        return WorkerStatus(worker_id=worker_id, unreadable=f"no JSON: {error}")
    if not isinstance(fields, dict):
        return WorkerStatus(worker_id=worker_id, unreadable="no JSON object")
    return WorkerStatus.read(worker_id, fields)
