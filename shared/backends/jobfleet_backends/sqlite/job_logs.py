"""What handlers log: parts of one log per job and epoch."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from jobfleet_backends.sqlite.database import Database
from jobfleet_contracts.job_logs import LogSize

_END = """
SELECT position + length(body) FROM job_logs WHERE job_id = ? AND epoch = ?
ORDER BY position DESC LIMIT 1
"""
_SIZES = """
SELECT epoch, max(position + length(body)) FROM job_logs WHERE job_id = ?
GROUP BY epoch ORDER BY epoch
"""
# The part before the first whole one may hold the first bytes that were asked for.
_PARTS = """
SELECT position, body FROM job_logs WHERE job_id = :job_id AND epoch = :epoch
AND position < :start + :limit AND position >= coalesce((
    SELECT max(position) FROM job_logs
    WHERE job_id = :job_id AND epoch = :epoch AND position <= :start), 0)
ORDER BY position
"""


class SqliteJobLogs:
    """Rows of the table ``job_logs``."""

    def __init__(self, *, database: Database) -> None:
        self._database = database

    async def append(self, job_id: str, epoch: int, position: int, body: bytes) -> bool:
        """Insert a part where the last one ends."""

        def act(connection: sqlite3.Connection) -> bool:
            row = connection.execute(_END, (job_id, epoch)).fetchone()
            end: int = 0 if row is None else row[0]
            if end == position:
                values = (job_id, epoch, position, body)
                connection.execute("INSERT INTO job_logs VALUES (?, ?, ?, ?)", values)
                return True
            return end == position + len(body)

        return await self._database.write(act)

    async def sizes(self, job_id: str) -> Sequence[LogSize]:
        """Add up the parts of each epoch."""
        rows = await self._database.read(
            lambda connection: connection.execute(_SIZES, (job_id,)).fetchall()
        )
        return [LogSize(*row) for row in rows]

    async def read(self, job_id: str, epoch: int, *, start: int = 0, limit: int) -> bytes:
        """Join the parts that hold the range."""
        values = {"job_id": job_id, "epoch": epoch, "start": start, "limit": limit}
        rows = await self._database.read(
            lambda connection: connection.execute(_PARTS, values).fetchall()
        )
        if not rows:
            return b""
        before = start - rows[0][0]
        return b"".join(row[1] for row in rows)[before : before + limit]

    async def remove(self, job_id: str) -> None:
        """Delete the job's rows."""
        statement = "DELETE FROM job_logs WHERE job_id = ?"
        await self._database.write(lambda connection: connection.execute(statement, (job_id,)))
