"""Takes old histories out of the database; the one that may delete rows of the trail."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime

from jobfleet_backends.sql.row_codec import EVENT_COLUMNS, Row, event_to_row, marks
from jobfleet_backends.sqlite.database import Database
from jobfleet_backends.sqlite.schema import RETENTION_SWITCH
from jobfleet_contracts.codec import format_time, parse_time
from jobfleet_contracts.cursor import TIME, CursorForm
from jobfleet_contracts.errors import SequenceTaken
from jobfleet_contracts.event import Event
from jobfleet_contracts.index import IndexedEvent, Page
from jobfleet_contracts.state import TERMINAL

_CURSOR = CursorForm(f"({TIME})~(.*)")
_STATES = ", ".join(f"'{state.value}'" for state in sorted(TERMINAL))
_ENDED = f"""
SELECT job_id, sequence, updated_at FROM jobs
WHERE state IN ({_STATES}) AND updated_at < ? AND (updated_at, job_id) > (?, ?)
ORDER BY updated_at, job_id LIMIT ?
"""
_TOMBSTONE = f"""
INSERT INTO trail (position, {EVENT_COLUMNS}) VALUES {marks("position, " + EVENT_COLUMNS)}
"""


_ERASE = """
UPDATE trail SET job_name = job_type, message = '', data = '{}', salt = NULL
WHERE job_id = ? AND sequence <= ?
"""
_ERASE_SAMPLES = (
    "UPDATE errors SET message = '' WHERE job_id = ?",
    "DELETE FROM slow_runs WHERE job_id = ?",
)


class SqliteTrailRetention:
    """Trail rows go in one transaction, which opens the switch of the trigger and closes it."""

    def __init__(self, *, database: Database) -> None:
        self._database = database

    async def ended_before(
        self, moment: datetime, *, cursor: str | None = None, limit: int = 100
    ) -> Page[IndexedEvent]:
        """Return ended jobs, those that ended first first."""
        values = (format_time(moment), *_place(cursor), limit)
        rows = await self._database.read(
            lambda connection: connection.execute(_ENDED, values).fetchall()
        )
        found = [IndexedEvent(row[0], row[1], parse_time(row[2])) for row in rows]
        return Page(found, f"{rows[-1][2]}~{rows[-1][0]}" if len(rows) == limit else None)

    async def forget(self, tombstone: Event, *, last: int) -> None:
        """Replace the job's rows by the tombstone, in the place of the oldest."""
        row = event_to_row(tombstone)
        await self._database.write(lambda connection: _forget(connection, row, last))

    async def unlist(self, events: Sequence[IndexedEvent]) -> None:
        """Remove jobs whose current state is one of these events."""
        places = [(event.job_id, event.sequence) for event in events]
        statement = "DELETE FROM jobs WHERE job_id = ? AND sequence = ?"
        await self._database.write(lambda connection: connection.executemany(statement, places))

    async def erase(self, job_id: str, *, last: int) -> None:
        """Empty the rows, and what statistics show of this job."""

        def empty(connection: sqlite3.Connection) -> None:
            connection.execute(
                "INSERT OR REPLACE INTO meta VALUES (?, 'open')", (RETENTION_SWITCH,)
            )
            connection.execute(_ERASE, (job_id, last))
            connection.execute("DELETE FROM meta WHERE name = ?", (RETENTION_SWITCH,))
            for statement in _ERASE_SAMPLES:
                connection.execute(statement, (job_id,))

        await self._database.write(empty)

    async def check_rights(self) -> None:
        """A process that can open the file may write to it."""


def _forget(connection: sqlite3.Connection, tombstone: Row, last: int) -> None:
    job_id = tombstone[0]
    position, newest = connection.execute(
        "SELECT MIN(position), MAX(sequence) FROM trail WHERE job_id = ?", (job_id,)
    ).fetchone()
    if newest != last:
        raise SequenceTaken(f"job {job_id} has gone on: its newest event is {newest}, not {last}")
    connection.execute("INSERT OR REPLACE INTO meta VALUES (?, 'open')", (RETENTION_SWITCH,))
    connection.execute("DELETE FROM trail WHERE job_id = ?", (job_id,))
    connection.execute(_TOMBSTONE, (position, *tombstone))
    connection.execute("DELETE FROM meta WHERE name = ?", (RETENTION_SWITCH,))


def _place(cursor: str | None) -> tuple[str, str]:
    if cursor is None:
        return "", ""
    time, job_id = _CURSOR.parts(cursor)
    return time, job_id
