"""Who works here: one row per worker, replaced with each heartbeat."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import orjson

from jobfleet_backends.postgres.database import Database
from jobfleet_backends.postgres.server_clock import ServerClock
from jobfleet_contracts.codec import encode_text, format_time, parse_time
from jobfleet_contracts.worker_status import LISTED, WorkerStatus

_BEAT = """
INSERT INTO jobfleet.workers VALUES (%s, %s, %s, %s) ON CONFLICT (worker_id) DO UPDATE SET
started_at = excluded.started_at, heartbeat_at = excluded.heartbeat_at, status = excluded.status
RETURNING clock_timestamp()
"""
_ROWS = """
SELECT worker_id, status FROM jobfleet.workers WHERE heartbeat_at >= %s
ORDER BY started_at, worker_id
"""
_ROW = "SELECT worker_id, status FROM jobfleet.workers WHERE worker_id = %s"
_FORGET = """
DELETE FROM jobfleet.workers WHERE worker_id = ANY(ARRAY(
    SELECT worker_id FROM jobfleet.workers WHERE heartbeat_at < %s LIMIT 1000))
"""


class PostgresWorkerDirectory:
    """Rows of the table ``workers``."""

    def __init__(self, *, database: Database, server_clock: ServerClock) -> None:
        self._database = database
        self._server_clock = server_clock

    async def beat(self, status: WorkerStatus) -> None:
        """Replace this worker's row; the answer shows the server's clock.

        Raises:
            ReleaseUnfit: another release has migrated the schema. Asked unless the worker drains
                or stops: it takes no more jobs then, and its row must say so.
        """
        if not status.draining and status.stopped_at is None:
            await self._database.check_version()
        sent_at = self._database.clock.now()
        rows = await self._database.change(
            _BEAT,
            status.worker_id,
            format_time(status.started_at),
            format_time(status.heartbeat_at),
            encode_text(status),
        )
        self._server_clock.note(parse_time(rows[0][0]), sent_at=sent_at)

    async def workers(self, *, with_stopped: bool = False) -> Sequence[WorkerStatus]:
        """Return every worker heard of within the hour, longest running first; see ``read``."""
        oldest = format_time(self._database.clock.now() - LISTED)
        found = [_status(key, text) for key, text in await self._database.fetch(_ROWS, oldest)]
        return [status for status in found if with_stopped or status.stopped_at is None]

    async def worker(self, worker_id: str) -> WorkerStatus | None:
        """Return one worker, by its row's key."""
        rows = await self._database.fetch(_ROW, worker_id)
        return _status(*rows[0]) if rows else None

    async def forget(self, before: datetime) -> None:
        """Remove rows of workers that were last heard of before; 1,000 a call."""
        await self._database.execute(_FORGET, format_time(before))


def _status(worker_id: str, text: str) -> WorkerStatus:
    try:
        fields = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        return WorkerStatus(worker_id=worker_id, unreadable=f"no JSON: {error}")
    if not isinstance(fields, dict):
        return WorkerStatus(worker_id=worker_id, unreadable="no JSON object")
    return WorkerStatus.read(worker_id, fields)
