"""The port that writes a claim together with the lease it rests on.

What :mod:`jobfleet_contracts.ports` says of errors, loops and names holds here too.
"""

from __future__ import annotations

from typing import Protocol

from jobfleet_contracts.event import Event


class JobClaims(Protocol):
    """Leases a job's own lock and inserts the claim's event in one transaction of the backend."""

    async def write(self, lock: str, lease_id: str, seconds: float, event: Event) -> None:
        """Lease the lock, creating it if it is missing, and insert the event under that lease.

        Repeating it with the same id and event is the same claim, and renews the lease.

        Raises:
            LeaseConflict: another lease id holds the lock; this call has written nothing.
            SequenceTaken: the lock is leased, and the event was not inserted. It may be the
                caller's own, from an earlier try.
            BackendUnavailable: both may have been written, or may be written later.
        """
        ...
