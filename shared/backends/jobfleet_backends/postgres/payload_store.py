"""Values too large for a row of the trail."""

from __future__ import annotations

from jobfleet_backends.postgres.database import Database

_PUT = "INSERT INTO jobfleet.payloads VALUES (%s, %s) ON CONFLICT (name) DO NOTHING"

_GET = "SELECT body FROM jobfleet.payloads WHERE name = %s"


class PostgresPayloadStore:
    """Rows of the table ``payloads``; names begin with the job id."""

    def __init__(self, *, database: Database) -> None:
        self._database = database

    async def put(self, name: str, body: bytes) -> None:
        """Store it; a repeat changes nothing."""
        await self._database.execute(_PUT, name, body)

    async def get(self, name: str) -> bytes | None:
        """Return it, ``None`` if missing."""
        rows = await self._database.fetch(
            "SELECT body FROM jobfleet.payloads WHERE name = %s", name
        )
        return bytes(rows[0][0]) if rows else None

    async def delete_job(self, job_id: str) -> None:
        """Remove all values whose names begin with the job id."""
        statement = "DELETE FROM jobfleet.payloads WHERE name >= %s AND name < %s"
        await self._database.execute(statement, job_id, f"{job_id}\U0010ffff")
