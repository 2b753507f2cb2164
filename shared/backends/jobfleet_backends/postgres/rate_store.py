"""Counts of starts as rows that are replaced only as they were read."""

from __future__ import annotations

from datetime import datetime

from jobfleet_backends.postgres.database import Database
from jobfleet_contracts.codec import format_time, parse_time
from jobfleet_contracts.job_id import new_id
from jobfleet_contracts.rate import RateRow

_SELECT = "SELECT moment, version FROM jobfleet.rates WHERE key = %s"
_INSERT = "INSERT INTO jobfleet.rates VALUES (%s, %s, %s) ON CONFLICT (key) DO NOTHING"
_REPLACE = "UPDATE jobfleet.rates SET moment = %s, version = %s WHERE key = %s AND version = %s"
_FORGET = "DELETE FROM jobfleet.rates WHERE moment < %s"


class PostgresRateStore:
    """Rows of the table ``rates``; each write gives its row a version of its own."""

    def __init__(self, *, database: Database) -> None:
        self._database = database

    async def read(self, key: str) -> RateRow | None:
        """Return one row."""
        rows = await self._database.fetch(_SELECT, key)
        return RateRow(parse_time(rows[0][0]), rows[0][1]) if rows else None

    async def replace(self, key: str, moment: datetime, *, read: RateRow | None) -> bool:
        """Insert the row, or update the one with the version that was read."""
        text, version = format_time(moment), new_id()
        if read is None:
            return await self._database.execute(_INSERT, key, text, version) == 1
        return await self._database.execute(_REPLACE, text, version, key, read.version) == 1

    async def forget(self, before: datetime) -> None:
        """Delete the rows whose moment is older."""
        await self._database.execute(_FORGET, format_time(before))
