"""The insert of a claim whose lease is taken in the same transaction."""

from __future__ import annotations

from collections.abc import Sequence

from jobfleet_contracts.errors import JobfleetError, LeaseConflict, SequenceTaken
from jobfleet_contracts.event import Event
from jobfleet_contracts.job_claims import JobClaims


class LockHeld(JobfleetError):
    """Another worker holds the lock, and no copy of the claim is under way."""


class ClaimInsert:
    """Inserts ``Started`` and leases its lock; each try is the same transaction."""

    def __init__(self, claims: JobClaims, *, lock: str, lease_id: str, seconds: float) -> None:
        self._claims = claims
        self._lock = lock
        self._lease_id = lease_id
        self._seconds = seconds
        self._is_unclear = False

    async def insert(self, events: Sequence[Event]) -> None:
        """Insert one event, as ``AuditTrail.insert`` does.

        Raises:
            LockHeld: the lock has another holder, and nothing of this claim can stand or land.
            BackendError: as of ``AuditTrail.insert``; ``LeaseConflict`` after a try whose outcome
                is unknown.
        """
        (event,) = events
        try:
            await self._claims.write(self._lock, self._lease_id, self._seconds, event)
        except LeaseConflict as error:
            # An earlier copy may still land once the lock is free. Given up here, the job would
            # then run by the trail, and no worker would run it until its lease is over.
            if self._is_unclear:
                raise
            raise LockHeld(str(error)) from error
        except SequenceTaken:
            raise
        except BaseException:  # a cancelled call too: its copy may be on its way
            self._is_unclear = True
            raise
