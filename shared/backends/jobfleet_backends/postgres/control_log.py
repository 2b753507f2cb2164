"""The control log as a table whose rows are only ever inserted."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

from jobfleet_backends.postgres.database import Database
from jobfleet_backends.sql.control_rows import CONTROL_COLUMNS, entry_to_row, row_to_entry
from jobfleet_contracts.control import ControlEntry, ControlSubject
from jobfleet_contracts.errors import SequenceTaken

_INSERT = f"""
INSERT INTO jobfleet.control_log ({CONTROL_COLUMNS}) VALUES ({", ".join(["%s"] * 10)})
ON CONFLICT (subject, name, sequence) DO NOTHING
"""
_SELECT = f"SELECT {CONTROL_COLUMNS} FROM jobfleet.control_log "
_NEWEST = _SELECT + "WHERE subject = %s AND name = %s ORDER BY sequence DESC LIMIT 1"
# A jump from name to name: each look takes the first row behind the name before.
_HEADS = f"""
WITH RECURSIVE names (name) AS (
    SELECT min(name) FROM jobfleet.control_log WHERE subject = %s
    UNION ALL
    SELECT (SELECT min(log.name) FROM jobfleet.control_log AS log
        WHERE log.subject = %s AND log.name > names.name)
    FROM names WHERE name IS NOT NULL
)
SELECT newest.* FROM names CROSS JOIN LATERAL (
    {_SELECT} WHERE subject = %s AND control_log.name = names.name ORDER BY sequence DESC LIMIT 1
) AS newest ORDER BY newest.name
"""


class PostgresControlLog:
    """Rows of the table ``control_log``; its key is subject, name and sequence."""

    def __init__(self, *, database: Database) -> None:
        self._database = database

    async def insert(self, entry: ControlEntry) -> None:
        """Insert one entry."""
        if await self._database.execute(_INSERT, *entry_to_row(entry)) == 0:
            raise SequenceTaken(f"{entry.subject} {entry.name} has entry {entry.sequence}")

    async def read(self, subject: ControlSubject, name: str, sequence: int) -> ControlEntry | None:
        """Return one entry."""
        where = "WHERE subject = %s AND name = %s AND sequence = %s"
        entries = await self._database.fetch_as(
            row_to_entry, _SELECT + where, subject.value, name, sequence
        )
        return entries[0] if entries else None

    async def newest(self, subject: ControlSubject, name: str) -> ControlEntry | None:
        """Return the last entry."""
        entries = await self._entries(_NEWEST, subject.value, name)
        return entries[0] if entries else None

    async def heads(self, subject: ControlSubject) -> Sequence[ControlEntry]:
        """Return the last entry of every name; two steps down the index for each."""
        return await self._entries(_HEADS, *[subject.value] * 3)

    async def history(
        self,
        subject: ControlSubject,
        name: str,
        *,
        before: int | None = None,
        limit: int = 100,
    ) -> Sequence[ControlEntry]:
        """Return entries of one log, newest first."""
        where = "WHERE subject = %s AND name = %s AND sequence < %s ORDER BY sequence DESC LIMIT %s"
        end = 2**62 if before is None else before
        return await self._database.fetch_as(
            row_to_entry, _SELECT + where, subject.value, name, end, limit
        )

    async def scan(self) -> AsyncIterator[Sequence[ControlEntry]]:
        """Yield each log whole."""
        where = "WHERE subject = %s AND name = %s AND sequence <= %s ORDER BY sequence"
        for subject in ControlSubject:
            for head in await self.heads(subject):
                values = subject.value, head.name, head.sequence
                yield await self._entries(_SELECT + where, *values)

    async def _entries(self, statement: str, *values: Any) -> list[ControlEntry]:
        return await self._database.fetch_as(row_to_entry, statement, *values)
