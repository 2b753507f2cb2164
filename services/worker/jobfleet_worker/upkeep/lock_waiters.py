"""On release of a lock key, tell the job that has waited longest for it."""

from __future__ import annotations

from collections.abc import Callable

from jobfleet_contracts.index import OpenRow
from jobfleet_contracts.lease import slots_prefix
from jobfleet_contracts.ports import AuditTrail, Clock, JobIndexReader, LockRecords, PayloadStore
from jobfleet_contracts.state import State
from jobfleet_protocol.actions.publication import Publication
from jobfleet_protocol.actions.submission import message_of
from jobfleet_protocol.control.pause_state import NO_PAUSES, FleetPauses

KnownPauses = Callable[[], FleetPauses | None]

FEW, MANY = 5, 1000
"""Open rows of the key to look at; the many only where none of the few can start now."""


class LockWaiters:
    """The jobs that wait for a lock key: the next one is published, to start at once."""

    def __init__(
        self,
        *,
        trail: AuditTrail,
        reader: JobIndexReader,
        locks: LockRecords,
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
        self._locks = locks
        self._payloads = payloads
        self._publication = publication
        self._clock = clock
        self._pauses = pauses

    async def publish_next(self, lock_key: str, *, slots: int, ended: str) -> None:
        """Publish the longest waiting job, as the index knows it; a duplicate is harmless.

        Two holders that end together would both publish that one. So a job is published for each
        slot that is free; beyond the first only those whose message was put off.
        """
        free = await self._free(lock_key, slots)
        seen = published = 0
        for limit in (FEW + slots, MANY):
            rows = await self._reader.lock_waiters(lock_key, slots=slots, limit=limit)
            for row in rows[seen:]:
                put_off = row.state is not State.QUEUED
                if row.facts.job_id == ended or (published and not put_off):
                    continue
                published += await self._publish(row)
                if published >= free:
                    return
            if len(rows) < limit:
                return
            seen = limit

    async def _free(self, lock_key: str, slots: int) -> int:
        """Return how many slots nobody holds; at least the one that was given up."""
        if slots == 1:
            return 1
        leased = await self._locks.leased(slots_prefix(lock_key, slots))
        return max(slots - len(leased), 1)

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
        await self._publication.try_to_send(message, head)
        return True
