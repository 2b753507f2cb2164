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
from jobfleet_worker.upkeep.republish_pace import Pace, RepublishPace

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
        self._pace = RepublishPace()

    async def publish_next(self, lock_key: str, *, slots: int, ended: str) -> None:
        """Publish the longest waiting job, as the index knows it; a duplicate is harmless.

        Two holders that end together would both publish that one. So a job is published for each
        slot that is free; beyond the first only those whose message was put off.

        A job whose message lies behind a backlog stays the first of those that wait. So each job is
        published at a falling pace, and not at each release.
        """
        self._pace.forget_before(self._clock.boottime())
        free = await self._free(lock_key, slots)
        seen = published = 0
        is_any_under_way = False
        for limit in (FEW + slots, MANY):
            rows = await self._reader.lock_waiters(lock_key, slots=slots, limit=limit)
            for row in rows[seen:]:
                is_first = not published and not is_any_under_way
                may_start = is_first or row.state is not State.QUEUED
                if row.facts.job_id == ended or not may_start or self._waits(row):
                    continue
                if not self._is_time(row):
                    is_any_under_way = True
                    continue
                published += await self._publish(row)
                if published >= free:
                    return
            if is_any_under_way or len(rows) < limit:
                return
            seen = limit

    async def _free(self, lock_key: str, slots: int) -> int:
        """Return how many slots are free; at least the one that was given up."""
        if slots == 1:
            return 1
        leased = await self._locks.leased(slots_prefix(lock_key, slots))
        return max(slots - len(leased), 1)

    def _waits(self, row: OpenRow) -> bool:
        return row.due_at is not None and row.due_at > self._clock.now()

    def _is_time(self, row: OpenRow) -> bool:
        key = row.facts.job_id, row.incarnation, row.sequence
        now = self._clock.boottime()
        return self._pace.allows(key, Pace.AT_ONCE, unchanged_for=0, now=now)

    async def _publish(self, row: OpenRow) -> bool:
        """Return whether the job can start now, by its trail."""
        head = await self._trail.newest(row.facts.job_id)
        opening = await self._trail.read(row.facts.job_id, 1)
        if head is None or opening is None or head.after.state.is_terminal:
            return False
        if (self._pauses() or NO_PAUSES).holding_job(head) is not None:
            return False
        message = await message_of(opening, head, self._payloads, self._clock.now())
        await self._publication.try_to_send(message, head)
        return True
