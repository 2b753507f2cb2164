"""Takes old histories out of the database; the one that may delete rows of the trail."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from jobfleet_backends.postgres.audit_trail import EVENT_NAMES
from jobfleet_backends.postgres.batch import Row
from jobfleet_backends.postgres.connection import Session
from jobfleet_backends.postgres.database import Database
from jobfleet_backends.postgres.schema import RETENTION, in_schema
from jobfleet_backends.sql.row_codec import EVENT_COLUMNS, event_to_row
from jobfleet_contracts.codec import format_time, parse_time
from jobfleet_contracts.cursor import TIME, CursorForm
from jobfleet_contracts.errors import BackendForbidden, SequenceTaken
from jobfleet_contracts.event import Event
from jobfleet_contracts.index import IndexedEvent, Page
from jobfleet_contracts.state import TERMINAL

_CURSOR = CursorForm(f"({TIME})~(.*)")
_STATES = ", ".join(f"'{state.value}'" for state in sorted(TERMINAL))
_ENDED = f"""
SELECT job_id, sequence, updated_at FROM jobfleet.jobs
WHERE state IN ({_STATES}) AND updated_at < %s
    AND (updated_at, job_id) > (%s::timestamptz, %s::text)
ORDER BY updated_at, job_id LIMIT %s
"""
_OLDEST = """
SELECT position, xid::text FROM jobfleet.trail WHERE job_id = %s ORDER BY sequence LIMIT 1
"""
_NEWEST = "SELECT max(sequence) FROM jobfleet.trail WHERE job_id = %s"
_DELETE = "DELETE FROM jobfleet.trail WHERE job_id = %s AND sequence <= %s"
_TOMBSTONE = f"""
INSERT INTO jobfleet.trail (position, xid, {EVENT_COLUMNS})
VALUES (%s, %s::text::xid8, {", ".join(["%s"] * len(EVENT_NAMES))})
"""
_UNLIST = """
WITH unlisted AS (
    DELETE FROM jobfleet.jobs
    USING ROWS FROM (pg_catalog.unnest(%s::text[]), pg_catalog.unnest(%s::bigint[]))
        AS gone (job_id, sequence)
    WHERE jobs.job_id = gone.job_id AND jobs.sequence = gone.sequence RETURNING jobs.job_id
)
DELETE FROM jobfleet.job_keys WHERE job_id IN (SELECT job_id FROM unlisted)
"""


_ERASE = """
UPDATE jobfleet.trail SET job_name = job_type, message = '', data = '{}', salt = NULL
WHERE job_id = %s AND sequence <= %s
"""
_ERASE_SAMPLES = (
    "UPDATE jobfleet.errors SET message = '' WHERE job_id = %s",
    "DELETE FROM jobfleet.slow_runs WHERE job_id = %s",
)
_RIGHTS = """
SELECT current_user, has_table_privilege('jobfleet.trail', 'UPDATE')
    AND has_table_privilege('jobfleet.errors', 'UPDATE')
"""


class PostgresTrailRetention:
    """Trail rows go in one transaction, which alone opens the switch of the trigger."""

    def __init__(self, *, database: Database) -> None:
        self._database = database

    async def ended_before(
        self, moment: datetime, *, cursor: str | None = None, limit: int = 100
    ) -> Page[IndexedEvent]:
        """Return ended jobs, those that ended first first."""
        rows = await self._database.fetch(_ENDED, format_time(moment), *_place(cursor), limit)
        found = [IndexedEvent(row[0], row[1], parse_time(row[2])) for row in rows]
        if len(rows) < limit:
            return Page(found, None)
        return Page(found, f"{format_time(found[-1].occurred_at)}~{found[-1].job_id}")

    async def forget(self, tombstone: Event, *, last: int) -> None:
        """Replace the job's rows by the tombstone, in the place of the oldest."""
        row, schema = event_to_row(tombstone), self._database.schema
        await self._database.call(lambda session: _forget(session, schema, row, last))

    async def unlist(self, events: Sequence[IndexedEvent]) -> None:
        """Remove jobs whose current state is one of these events."""
        jobs = [event.job_id for event in events]
        await self._database.execute(_UNLIST, jobs, [event.sequence for event in events])

    async def erase(self, job_id: str, *, last: int) -> None:
        """Empty the rows, and what statistics show of this job."""
        schema = self._database.schema

        def empty(session: Session) -> None:
            with session.transaction():
                session.execute(f"SET LOCAL {RETENTION} = 'on'".encode())
                session.execute(in_schema(_ERASE, schema), (job_id, last))
                for statement in _ERASE_SAMPLES:
                    session.execute(in_schema(statement, schema), (job_id,))

        await self._database.call(empty)

    async def check_rights(self) -> None:
        """Ask whether the role may update rows of the trail."""
        ((role, may_update),) = await self._database.fetch(_RIGHTS)
        if not may_update:
            raise BackendForbidden(
                f"role {role} may not UPDATE rows of trail and errors, as erasing needs"
            )


def _forget(session: Session, schema: str, tombstone: Row, last: int) -> None:
    job_id = tombstone[0]
    with session.transaction():
        oldest = session.execute(in_schema(_OLDEST, schema), (job_id,)).fetchone()
        _expect(session, schema, job_id, last)
        session.execute(f"SET LOCAL {RETENTION} = 'on'".encode())
        session.execute(in_schema(_DELETE, schema), (job_id, last))
        # After the deletion, which has waited for every writer of one of these rows.
        _expect(session, schema, job_id, None)
        assert oldest is not None
        session.execute(in_schema(_TOMBSTONE, schema), (*oldest, *tombstone))


def _expect(session: Session, schema: str, job_id: str, sequence: int | None) -> None:
    newest = session.execute(in_schema(_NEWEST, schema), (job_id,)).fetchone()
    if newest is not None and newest[0] != sequence:
        raise SequenceTaken(f"job {job_id} has gone on: its newest event is {newest[0]}")


def _place(cursor: str | None) -> tuple[str, str]:
    if cursor is None:
        return "-infinity", ""
    time, job_id = _CURSOR.parts(cursor)
    return time, job_id
