"""Removes histories of jobs that ended long ago, a few at a time; a tombstone stays of each."""

from __future__ import annotations

from datetime import datetime, timedelta

import structlog

from jobfleet_contracts.backend import Backend
from jobfleet_contracts.errors import SequenceTaken
from jobfleet_contracts.event import Event
from jobfleet_contracts.index import IndexedEvent
from jobfleet_contracts.ports import Clock, TrailRetention
from jobfleet_contracts.state import Status
from jobfleet_protocol.large_data import resolve
from jobfleet_protocol.tombstone import is_tombstone, tombstone_of

HISTORIES_REMOVED = "histories.removed"
HISTORY_KEPT = "history.kept"
JOBS_A_SWEEP = 50
IDLE_SECONDS = 60.0
"""Pause once a look through the index has reached its end."""
PAGE_ROWS = 1000

_log = structlog.get_logger()


class Retention:
    """Finds old endings in the index and asks the trail about each; belongs to the rescuer.

    Args:
        days: how long the history of an ended job is kept, from its last event on.
    """

    def __init__(self, *, backend: Backend, clock: Clock, days: float) -> None:
        if backend.retention is None:
            raise ValueError(f"backend {backend.name} removes nothing")
        self._backend = backend
        self._store: TrailRetention = backend.retention
        self._clock = clock
        self._kept_for = timedelta(days=days)
        self._message = f"history removed after {days:g} days"
        self._cursor: str | None = None
        self._idle_until = 0.0

    async def sweep(self) -> int:
        """Look at the next 50 old endings; at the end of the index rest for a minute.

        Returns:
            How many histories were removed.

        Raises:
            BackendError: the rest is left to a later sweep, which goes on where this one stopped.
        """
        if self._clock.boottime() < self._idle_until:
            return 0
        before = self._clock.now() - self._kept_for
        page = await self._store.ended_before(before, cursor=self._cursor, limit=JOBS_A_SWEEP)
        removed = 0
        for found in page.items:
            removed += await self._see_to(found, before)
        self._cursor = page.next
        if page.next is None:
            self._idle_until = self._clock.boottime() + IDLE_SECONDS
        if removed:
            _log.info(HISTORIES_REMOVED, jobs=removed)
        return removed

    async def _see_to(self, found: IndexedEvent, before: datetime) -> bool:
        try:
            head = await self._backend.trail.newest(found.job_id)
            if head is not None and is_tombstone(head):
                await self._finish(found.job_id, [found])
                return False
            if head is None or not head.after.state.is_terminal or head.occurred_at >= before:
                return False
            return await self._remove(found, head)
        except SequenceTaken as error:
            _log.info(HISTORY_KEPT, job_id=found.job_id, reason=str(error))
        except (ValueError, KeyError, TypeError) as error:
            # A row that nobody can read is `audit verify`'s business, and stops no other job.
            _log.warning(HISTORY_KEPT, job_id=found.job_id, reason=repr(error))
        return False

    async def _remove(self, found: IndexedEvent, head: Event) -> bool:
        ending = await self._ending(head)
        opening = await self._backend.trail.read(head.job_id, 1)
        if ending is None or opening is None:
            return False
        digest = await self._digest(opening)
        tombstone = tombstone_of(ending, head, digest=digest, message=self._message)
        await self._unlist_before(head)
        await self._store.forget(tombstone, last=head.sequence)
        await self._finish(head.job_id, [found, _place_of(head)])
        return True

    async def _ending(self, head: Event) -> Event | None:
        if head.kind is not Status.DISMISSED:
            return head
        return await self._backend.trail.read(head.job_id, head.sequence - 1)

    async def _digest(self, opening: Event) -> str | None:
        """Return the request's digest; ``None`` where large data were lost, which stops nothing."""
        name = opening.data.get("blob")
        if name is not None and await self._backend.payloads.get(name) is None:
            return None
        digest: str | None = (await resolve(opening, self._backend.payloads)).data.get("digest")
        return digest

    async def _unlist_before(self, head: Event) -> None:
        """Take all events but the newest out of the index, which finds the job by that one."""
        after = 0
        while after < head.sequence - 1:
            page = await self._backend.trail.history(
                head.job_id, after=after, before=min(after + PAGE_ROWS + 1, head.sequence)
            )
            await self._store.unlist([_place_of(event) for event in page])
            after += PAGE_ROWS

    async def _finish(self, job_id: str, left: list[IndexedEvent]) -> None:
        await self._backend.payloads.delete_job(job_id)
        await self._store.unlist(left)


def _place_of(event: Event) -> IndexedEvent:
    return IndexedEvent(event.job_id, event.sequence, event.occurred_at)
