"""Marks of ended group members as rows that are inserted once."""

from __future__ import annotations

from collections.abc import Mapping

from jobfleet_backends.postgres.database import Database

_INSERT = "INSERT INTO jobfleet.group_marks VALUES (%s, %s, %s) ON CONFLICT DO NOTHING"
_SELECT = "SELECT row_key, value FROM jobfleet.group_marks WHERE partition = %s"
_REMOVE = "DELETE FROM jobfleet.group_marks WHERE partition >= %s AND partition < %s"


class PostgresGroupMarks:
    """Rows of the table ``group_marks``; its keys are compared byte by byte."""

    def __init__(self, *, database: Database) -> None:
        self._database = database

    async def insert(self, partition: str, row: str, value: str) -> bool:
        """Insert a row if there is none."""
        return await self._database.execute(_INSERT, partition, row, value) == 1

    async def read(self, partition: str) -> Mapping[str, str]:
        """Return all rows of a partition."""
        return dict(await self._database.fetch(_SELECT, partition))

    async def remove(self, group_id: str) -> None:
        """Remove all rows of a group; ``~`` is the last of the characters of a key."""
        await self._database.execute(_REMOVE, f"{group_id}~", f"{group_id}~~")
