"""What handlers log: parts of one log per job and epoch."""

from __future__ import annotations

from collections.abc import Sequence

from jobfleet_backends.postgres.database import Database
from jobfleet_contracts.job_logs import LogSize

# One writer uses an epoch. Two tries of the same append may overlap: the key lets one of them in.
_APPEND = """
INSERT INTO jobfleet.job_logs SELECT %s, %s, %s, %s
WHERE %s = coalesce((SELECT max(position + length(body)) FROM jobfleet.job_logs
    WHERE job_id = %s AND epoch = %s), 0)
ON CONFLICT DO NOTHING
"""
_END = """
SELECT max(position + length(body)) FROM jobfleet.job_logs WHERE job_id = %s AND epoch = %s
"""
_SIZES = """
SELECT epoch, max(position + length(body)) FROM jobfleet.job_logs WHERE job_id = %s
GROUP BY epoch ORDER BY epoch
"""
# The part before the first whole one may hold the first bytes that were asked for.
_PARTS = """
SELECT position, body FROM jobfleet.job_logs WHERE job_id = %s AND epoch = %s
AND position < %s AND position >= coalesce((SELECT max(position) FROM jobfleet.job_logs
    WHERE job_id = %s AND epoch = %s AND position <= %s), 0)
ORDER BY position
"""


class PostgresJobLogs:
    """Rows of the table ``job_logs``."""

    def __init__(self, *, database: Database) -> None:
        self._database = database

    async def append(self, job_id: str, epoch: int, position: int, body: bytes) -> bool:
        """Insert a part where the last one ends."""
        row = (job_id, epoch, position, body)
        inserted = await self._database.execute(_APPEND, *row, position, job_id, epoch)
        if inserted:
            return True
        found = await self._database.change(_END, job_id, epoch)
        return bool(found[0][0] == position + len(body))

    async def sizes(self, job_id: str) -> Sequence[LogSize]:
        """Add up the parts of each epoch."""
        return [LogSize(*row) for row in await self._database.fetch(_SIZES, job_id)]

    async def read(self, job_id: str, epoch: int, *, start: int = 0, limit: int) -> bytes:
        """Join the parts that hold the range."""
        rows = await self._database.fetch(
            _PARTS, job_id, epoch, start + limit, job_id, epoch, start
        )
        if not rows:
            return b""
        before = start - int(rows[0][0])
        return b"".join(bytes(row[1]) for row in rows)[before : before + limit]

    async def remove(self, job_id: str) -> None:
        """Delete the job's rows."""
        await self._database.execute("DELETE FROM jobfleet.job_logs WHERE job_id = %s", job_id)
