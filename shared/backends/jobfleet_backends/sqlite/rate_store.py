"""Counts of starts as rows that are replaced only as they were read."""

from __future__ import annotations

import sqlite3
from datetime import datetime

from jobfleet_backends.sqlite.database import Database
from jobfleet_contracts.codec import format_time, parse_time
from jobfleet_contracts.job_id import new_id
from jobfleet_contracts.rate import RateRow

_SELECT = "SELECT moment, version FROM rates WHERE key = ?"
_INSERT = "INSERT OR IGNORE INTO rates VALUES (?, ?, ?)"
_REPLACE = "UPDATE rates SET moment = ?, version = ? WHERE key = ? AND version = ?"
_FORGET = "DELETE FROM rates WHERE moment < ?"


class SqliteRateStore:
    """Rows of the table ``rates``; each write gives its row a version of its own."""

    def __init__(self, *, database: Database) -> None:
        self._database = database

    async def read(self, key: str) -> RateRow | None:
        """Return one row."""
        row = await self._database.read(
            lambda connection: connection.execute(_SELECT, (key,)).fetchone()
        )
        return None if row is None else RateRow(parse_time(row[0]), row[1])

    async def replace(self, key: str, moment: datetime, *, read: RateRow | None) -> bool:
        """Insert the row, or update the one with the version that was read."""
        text, version = format_time(moment), new_id()

        def write(connection: sqlite3.Connection) -> bool:
            if read is None:
                cursor = connection.execute(_INSERT, (key, text, version))
            else:
                cursor = connection.execute(_REPLACE, (text, version, key, read.version))
            return cursor.rowcount == 1

        return await self._database.write(write)

    async def forget(self, before: datetime) -> None:
        """Delete the rows whose moment is older."""
        values = (format_time(before),)
        await self._database.write(lambda connection: connection.execute(_FORGET, values))
