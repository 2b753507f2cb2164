"""Makes a job exist in one transaction: open row, event 1, its copies and the message."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from jobfleet_backends.sql.row_codec import (
    JOB_COLUMNS,
    OPEN_COLUMNS,
    Row,
    event_to_job_row,
    event_to_row,
    open_to_row,
)
from jobfleet_backends.sqlite.database import Database
from jobfleet_backends.sqlite.job_index import key_rows
from jobfleet_backends.sqlite.job_queue import MESSAGE_COLUMNS, message_row
from jobfleet_backends.sqlite.trail_insert import TrailInsert
from jobfleet_backends.sqlite.wake_signal import WakeNotifier
from jobfleet_contracts.transaction import Opening

_OPEN = f"""
INSERT INTO open_jobs ({OPEN_COLUMNS}) VALUES ... ON CONFLICT (job_id, incarnation) DO UPDATE
SET opened_at = excluded.opened_at, sequence = excluded.sequence, published = excluded.published
WHERE open_jobs.sequence = 0
"""
_JOB = f"""
INSERT INTO jobs ({JOB_COLUMNS}, search) VALUES ... ON CONFLICT (job_id) DO NOTHING
"""
_KEY = "INSERT INTO job_keys VALUES ... ON CONFLICT DO NOTHING"
_MESSAGE = f"INSERT INTO messages ({MESSAGE_COLUMNS}) VALUES ..."
_DATA = "INSERT INTO payloads (name, body) VALUES ... ON CONFLICT (name) DO NOTHING"


class SqliteJobOpenings:
    """All jobs that are opened at the same time share one transaction, and its statements."""

    def __init__(self, *, database: Database) -> None:
        self._database = database
        self._notifier = WakeNotifier(database.path.parent)

    async def write(self, opening: Opening) -> None:
        """Write all of it, or nothing if the job exists; on the disk when this returns."""
        messages: Sequence[Row] = []
        if opening.message is not None:
            delay = timedelta(seconds=opening.delay_seconds)
            messages = [message_row(opening.message, delay, self._database.clock)]
        beside: dict[str, Sequence[Row]] = {
            _OPEN: [open_to_row(opening.row)],
            _JOB: [event_to_job_row(opening.event)],
            _KEY: key_rows([opening.event]),
            _MESSAGE: messages,
            _DATA: [] if opening.data is None else [opening.data],
        }
        await self._database.write(TrailInsert([event_to_row(opening.stored)], beside))
        self._notifier.notify()
