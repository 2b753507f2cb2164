"""On release of a lock key, tell the job that has waited longest for it."""

from __future__ import annotations

from collections.abc import Callable

from jobfleet_contracts.index import OpenRow
from jobfleet_contracts.ports import AuditTrail, Clock, JobIndexReader, PayloadStore
from jobfleet_protocol.actions.publication import Publication
from jobfleet_protocol.actions.submission import message_of
from jobfleet_protocol.control.pause_state import NO_PAUSES, FleetPauses

KnownPauses = Callable[[], FleetPauses | None]

FEW, MANY = 5, 1000
"""Open rows of the key to look at; the many only where none of the few can start now."""


class LockSuccessor:
    """Publishes the next job of a lock key, so that it starts at once and not at a poll."""

    def __init__(
        self,
        *,
        trail: AuditTrail,
        reader: JobIndexReader,
        payloads: PayloadStore,
        publication: Publication,
        clock: Clock,
        pauses: KnownPauses,
    ) -> None:
        """Take the parts.

        Args:
            pauses: those in force, ``None`` while they are not known; their jobs are passed over.
        """
        self._trail = trail
        self._reader = reader
        self._payloads = payloads
        self._publication = publication
        self._clock = clock
        self._pauses = pauses

    async def publish_next(self, lock_key: str, *, ended: str) -> None:
        """Publish the longest waiting job, as the index knows it; a duplicate is harmless."""
        seen = 0
        for limit in (FEW, MANY):
            rows = await self._reader.lock_waiters(lock_key, limit=limit)
            for row in rows[seen:]:
                if row.facts.job_id != ended and await self._publish(row):
                    return
            if len(rows) < limit:
                return
            seen = limit

    async def _publish(self, row: OpenRow) -> bool:
        """Return whether the job can start now, by its row and by its trail."""
        now = self._clock.now()
        if row.due_at is not None and row.due_at > now:
            return False
        head = await self._trail.newest(row.facts.job_id)
        opening = await self._trail.read(row.facts.job_id, 1)
        if head is None or opening is None or head.after.state.is_terminal:
            return False
        if (self._pauses() or NO_PAUSES).holding_job(head) is not None:
            return False
        message = await message_of(opening, head, self._payloads, now)
        await self._publication.attempt(message, head)
        return True
