"""Values too large for a row of the trail."""

from __future__ import annotations

from jobfleet_backends.sqlite.database import Database


class SqlitePayloadStore:
    """Rows of the table ``payloads``; names begin with the job id."""

    def __init__(self, *, database: Database) -> None:
        self._database = database

    async def put(self, name: str, body: bytes) -> None:
        """Store it; a repeat changes nothing."""
        statement = "INSERT OR IGNORE INTO payloads VALUES (?, ?)"
        await self._database.write(lambda connection: connection.execute(statement, (name, body)))

    async def get(self, name: str) -> bytes | None:
        """Return it, ``None`` if missing."""
        statement = "SELECT body FROM payloads WHERE name = ?"
        row = await self._database.read(
            lambda connection: connection.execute(statement, (name,)).fetchone()
        )
        return None if row is None else bytes(row[0])

    async def delete_job(self, job_id: str) -> None:
        """Remove all values whose names begin with the job id."""
        statement = "DELETE FROM payloads WHERE name >= ? AND name < ?"
        values = (job_id, f"{job_id}\U0010ffff")
        await self._database.write(lambda connection: connection.execute(statement, values))
