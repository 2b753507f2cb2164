"""The control log as a table whose rows are only ever inserted."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Sequence

from jobfleet_backends.sql.control_rows import CONTROL_COLUMNS, entry_to_row, row_to_entry
from jobfleet_backends.sql.row_codec import marks
from jobfleet_backends.sqlite.database import Database
from jobfleet_contracts.control import ControlEntry, ControlSubject
from jobfleet_contracts.errors import SequenceTaken

_INSERT = f"INSERT INTO control_log ({CONTROL_COLUMNS}) VALUES {marks(CONTROL_COLUMNS)}"
_SELECT = f"SELECT {CONTROL_COLUMNS} FROM control_log "
_NEXT_NAME = "SELECT min(name) FROM control_log WHERE subject = ? AND name > CAST(? AS TEXT)"
_NEWEST = _SELECT + "WHERE subject = ? AND name = CAST(? AS TEXT) ORDER BY sequence DESC LIMIT 1"


class SqliteControlLog:
    """Rows of the table ``control_log``; its unique key is subject, name and sequence."""

    def __init__(self, *, database: Database) -> None:
        self._database = database

    async def insert(self, entry: ControlEntry) -> None:
        """Insert one entry."""
        row = entry_to_row(entry)

        def insert(connection: sqlite3.Connection) -> None:
            try:
                connection.execute(_INSERT, row)
            except sqlite3.IntegrityError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_CONSTRAINT_UNIQUE:
                    raise
                raise SequenceTaken(
                    f"{entry.subject} {entry.name} has entry {entry.sequence}"
                ) from None

        await self._database.write(insert)

    async def read(self, subject: ControlSubject, name: str, sequence: int) -> ControlEntry | None:
        """Return one entry."""
        where = "WHERE subject = ? AND name = ? AND sequence = ?"
        entries = await self._entries(_SELECT + where, subject, name, sequence)
        return entries[0] if entries else None

    async def newest(self, subject: ControlSubject, name: str) -> ControlEntry | None:
        """Return the last entry."""
        entries = await self._entries(_NEWEST, subject, name)
        return entries[0] if entries else None

    async def heads(self, subject: ControlSubject) -> Sequence[ControlEntry]:
        """Return the last entry of every name; two steps down the index for each."""

        def find(connection: sqlite3.Connection) -> list[ControlEntry]:
            entries: list[ControlEntry] = []
            name = ""
            while True:
                (following,) = connection.execute(_NEXT_NAME, (subject, name)).fetchone()
                if following is None:
                    return entries
                name = following
                row = connection.execute(_NEWEST, (subject, name)).fetchone()
                entries.append(row_to_entry(row))

        return await self._database.read(find)

    async def history(
        self,
        subject: ControlSubject,
        name: str,
        *,
        before: int | None = None,
        limit: int = 100,
    ) -> Sequence[ControlEntry]:
        """Return entries of one log, newest first."""
        where = "WHERE subject = ? AND name = ? AND sequence < ? ORDER BY sequence DESC LIMIT ?"
        end = 2**62 if before is None else before
        return await self._entries(_SELECT + where, subject, name, end, limit)

    async def scan(self) -> AsyncIterator[Sequence[ControlEntry]]:
        """Yield each log whole."""
        for subject in ControlSubject:
            for head in await self.heads(subject):
                where = (
                    "WHERE subject = ? AND name = CAST(? AS TEXT) AND sequence <= ? "
                    "ORDER BY sequence"
                )
                yield await self._entries(_SELECT + where, subject, head.name, head.sequence)

    async def _entries(self, statement: str, *values: str | int) -> list[ControlEntry]:
        return await self._database.fetch_as(row_to_entry, statement, *values)
