"""Removes histories of jobs that ended long ago, a few at a time; a tombstone stays of each.

In two steps: a seal is inserted as the newest event, which a redrive that comes first refuses, and
later the rest goes: after the retention once more, an hour at most. So long the seal refuses what a
process writes that looked before it and stood still since.
"""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from jobfleet_contracts.errors import DataMissing, SequenceTaken
from jobfleet_contracts.event import Event
from jobfleet_contracts.group_marks import GroupMarks
from jobfleet_contracts.index import IndexedEvent
from jobfleet_contracts.internal_job import GROUP_TYPE
from jobfleet_contracts.job_logs import JobLogs
from jobfleet_contracts.ports import (
    AuditTrail,
    Clock,
    PayloadStore,
)
from jobfleet_contracts.state import Status
from jobfleet_contracts.trail_retention import TrailRetention
from jobfleet_protocol.trail.large_data import resolve
from jobfleet_protocol.trail.tombstone import (
    is_seal,
    is_tombstone,
    seal_of,
    tombstone_of,
    tombstone_under,
)

HISTORIES_REMOVED = "histories.removed"
HISTORY_KEPT = "history.kept"
JOBS_A_SWEEP = 50
IDLE_SECONDS = 60.0
"""Pause once a look through the index has reached its end."""
SEALED_AT_LEAST, SEALED_AT_MOST = 60.0, 3600.0
"""Seconds. The shortest wait. A copy of a seal that lands after the removal would stay for ever,
and Azure gives a request of the table service up only 30 s after its arrival."""
PAGE_ROWS = 1000

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Sealed:
    """A history to be removed; ``at``: when its seal was put, or found, on the boot clock."""

    found: IndexedEvent
    at: float


class Retention:
    """Finds old endings in the index and asks the trail about each; belongs to the rescuer.

    Args:
        days: how long the history of an ended job is kept, from its last event on.
    """

    def __init__(
        self,
        *,
        trail: AuditTrail,
        payloads: PayloadStore,
        logs: JobLogs,
        marks: GroupMarks,
        store: TrailRetention,
        clock: Clock,
        days: float,
    ) -> None:
        self._trail = trail
        self._payloads = payloads
        self._logs = logs
        self._marks = marks
        self._store = store
        self._clock = clock
        self._kept_for = timedelta(days=days)
        seconds = self._kept_for.total_seconds()
        self._sealed_for = min(max(seconds, SEALED_AT_LEAST), SEALED_AT_MOST)
        self._message = f"history removed after {days:g} days"
        self._cursor: str | None = None
        self._idle_until = 0.0
        self._sealed: dict[str, _Sealed] = {}

    async def sweep(self) -> int:
        """Remove what has been sealed for long, and seal the next 50 old endings of the index.

        At the end of the index it looks for no more for a minute.

        Returns:
            How many histories were removed.

        Raises:
            BackendError: the rest is left to a later sweep, which goes on where this one stopped.
        """
        removed = await self._remove_sealed()
        if self._clock.boottime() >= self._idle_until:
            await self._seal_more()
        if removed:
            _log.info(HISTORIES_REMOVED, jobs=removed)
        return removed

    async def _remove_sealed(self) -> int:
        removed = 0
        for job_id, sealed in list(self._sealed.items()):
            if self._clock.boottime() < sealed.at + self._sealed_for:
                break
            del self._sealed[job_id]
            head = await self._trail.newest(job_id)
            if head is not None and is_seal(head):
                removed += await self._unless_kept(job_id, self._forget(sealed.found, head))
        return removed

    async def _seal_more(self) -> None:
        before = self._clock.now() - self._kept_for
        page = await self._store.ended_before(before, cursor=self._cursor, limit=JOBS_A_SWEEP)
        for found in page.items:
            if found.job_id not in self._sealed:
                await self._unless_kept(found.job_id, self._remove_if_due(found, before))
        self._cursor = page.next
        if page.next is None:
            self._idle_until = self._clock.boottime() + IDLE_SECONDS

    async def _unless_kept(self, job_id: str, step: Awaitable[None]) -> bool:
        """Take a step with one job; what is in the way of it stops no other job."""
        try:
            await step
        except SequenceTaken as error:
            _log.info(HISTORY_KEPT, job_id=job_id, reason=str(error))
        except (ValueError, KeyError, TypeError) as error:
            # `audit verify` reports a row that cannot be read.
            _log.warning(HISTORY_KEPT, job_id=job_id, reason=repr(error))
        else:
            return True
        return False

    async def _remove_if_due(self, found: IndexedEvent, before: datetime) -> None:
        head = await self._trail.newest(found.job_id)
        if head is None:
            return
        if is_seal(head):
            self._put_down(found)
        elif is_tombstone(head):
            await self._finish(found.job_id, [found])
        elif head.after.state.is_terminal and head.occurred_at < before and head.is_readable:
            await self._seal(found, head)

    async def _seal(self, found: IndexedEvent, head: Event) -> None:
        ending = await self._ending(head)
        opening = await self._trail.read(head.job_id, 1)
        if ending is None or opening is None or await self._is_awaited(opening):
            return
        digest = await self._digest(opening)
        tombstone = tombstone_of(ending, head, digest=digest, message=self._message)
        seal = seal_of(tombstone, head=head)
        await self._trail.insert([seal])
        self._put_down(found)

    def _put_down(self, found: IndexedEvent) -> None:
        self._sealed[found.job_id] = _Sealed(found, self._clock.boottime())

    async def _forget(self, found: IndexedEvent, seal: Event) -> None:
        """Remove a sealed history; what is cut short is found again by the same place."""
        last = await self._trail.read(seal.job_id, seal.sequence - 1)
        await self._unlist_before(seal.job_id, seal.sequence - 1)
        if seal.facts.job_type == GROUP_TYPE:
            await self._marks.remove(seal.job_id)
        await self._store.forget(tombstone_under(seal), last=seal.sequence)
        await self._finish(seal.job_id, [found] if last is None else [found, IndexedEvent.of(last)])

    async def _ending(self, head: Event) -> Event | None:
        ending: Event | None = head
        while ending is not None and ending.kind in (Status.DISMISSED, Status.ERASED):
            ending = await self._trail.read(ending.job_id, ending.sequence - 1)
        return ending

    async def _is_awaited(self, opening: Event) -> bool:
        """Whether the job belongs to a group that has not ended: it may be redriven for it."""
        try:
            fields = (await resolve(opening, self._payloads)).data.get("request", {})
        except DataMissing:
            return False
        if "member" not in fields:
            return False
        group = await self._trail.newest(fields["member"]["groupId"])
        return group is not None and not group.after.state.is_terminal

    async def _digest(self, opening: Event) -> str | None:
        """Return the request's digest; ``None`` if large data were lost, which stops nothing."""
        try:
            digest: str | None = (await resolve(opening, self._payloads)).data.get("digest")
        except DataMissing:
            return None
        return digest

    async def _unlist_before(self, job_id: str, last: int) -> None:
        """Take all events but the last out of the index, which finds the job by that one."""
        after = 0
        while after < last - 1:
            page = await self._trail.history(
                job_id, after=after, before=min(after + PAGE_ROWS + 1, last)
            )
            await self._store.unlist([IndexedEvent.of(event) for event in page])
            after += PAGE_ROWS

    async def _finish(self, job_id: str, left: list[IndexedEvent]) -> None:
        await self._payloads.delete_job(job_id)
        await self._logs.remove(job_id)
        await self._store.unlist(left)
