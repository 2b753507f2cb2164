"""Writes claims with the leases that they rest on: one statement, one wait for the disk."""

from __future__ import annotations

from dataclasses import dataclass

from jobfleet_backends.postgres.audit_trail import (
    EVENT_RECORD,
    TIMED,
    WRITTEN,
    PostgresAuditTrail,
)
from jobfleet_backends.postgres.batch import BatchStatement, Fields, Row
from jobfleet_backends.postgres.database import Database
from jobfleet_backends.postgres.lease_store import LEASE_NEW
from jobfleet_backends.postgres.ranks import Rank
from jobfleet_contracts.errors import LeaseConflict, SequenceTaken
from jobfleet_contracts.event import Event

_BESIDE = "leased_lock text, lease_id text, seconds float8"
# ``rows`` are the claims whose lock is leased now; only their events are written. ``Started``
# has one count beside the trail: how long its job waited.
CLAIM = f"""
WITH asked AS MATERIALIZED (
    SELECT * FROM json_to_recordset(%s::json)
    AS rows (n int, {_BESIDE}, {EVENT_RECORD})
), leased AS (
    {LEASE_NEW.format(rows="(SELECT leased_lock AS lock, lease_id, seconds FROM asked) AS rows")}
), rows AS MATERIALIZED (
    SELECT asked.* FROM asked JOIN leased ON leased.lock = asked.leased_lock
), {WRITTEN}, {TIMED}
SELECT rows.n, written.job_id IS NOT NULL
FROM rows LEFT JOIN written USING (job_id, sequence)
"""


@dataclass(frozen=True, slots=True)
class _Claim:
    lock: str
    lease_id: str
    seconds: float
    fields: Fields


def _fields(claim: _Claim) -> list[Fields]:
    lease = {"leased_lock": claim.lock, "lease_id": claim.lease_id, "seconds": claim.seconds}
    return [claim.fields | lease]


def _outcome(claim: _Claim, rows: list[Row]) -> None:
    if not rows:
        raise LeaseConflict(f"lock {claim.lock} has another holder")
    if not rows[0][0]:
        job_id, sequence = claim.fields["job_id"], claim.fields["sequence"]
        raise SequenceTaken(f"job {job_id} has event {sequence} or a later one")


_CLAIM: BatchStatement[_Claim, None] = BatchStatement(
    rank=Rank.CLAIM,
    sql=CLAIM,
    rows=_fields,
    outcome=_outcome,
    # Rows are identified by their lock, which is the job's own.
    key=lambda claim: claim.lock,
    lock=lambda claim: claim.lock,
)


class PostgresJobClaims:
    """All claims that are made at the same time share one statement."""

    def __init__(self, *, database: Database, trail: PostgresAuditTrail) -> None:
        self._database = database
        self._trail = trail

    async def write(self, lock: str, lease_id: str, seconds: float, event: Event) -> None:
        """Lease the lock and insert the event under that lease; committed when this returns."""
        claim = _Claim(lock, lease_id, seconds, self._trail.counted(event))
        await self._database.write(_CLAIM, claim)
