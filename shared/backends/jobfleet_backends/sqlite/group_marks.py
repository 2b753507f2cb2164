"""Marks of ended group members as rows that are inserted once."""

from __future__ import annotations

from collections.abc import Mapping

from jobfleet_backends.sqlite.database import Database

_INSERT = "INSERT OR IGNORE INTO group_marks VALUES (?, ?, ?)"
_SELECT = "SELECT row, value FROM group_marks WHERE partition = ?"
_REMOVE = "DELETE FROM group_marks WHERE partition >= ? AND partition < ?"


class SqliteGroupMarks:
    """Rows of the table ``group_marks``."""

    def __init__(self, *, database: Database) -> None:
        self._database = database

    async def insert(self, partition: str, row: str, value: str) -> bool:
        """Insert a row if there is none."""
        values = (partition, row, value)
        return await self._database.write(
            lambda connection: connection.execute(_INSERT, values).rowcount == 1
        )

    async def read(self, partition: str) -> Mapping[str, str]:
        """Return all rows of a partition."""
        return await self._database.read(
            lambda connection: dict(connection.execute(_SELECT, (partition,)).fetchall())
        )

    async def remove(self, group_id: str) -> None:
        """Remove all rows of a group; ``~`` is the last of the characters of a key."""
        values = (f"{group_id}~", f"{group_id}~~")
        await self._database.write(lambda connection: connection.execute(_REMOVE, values))
