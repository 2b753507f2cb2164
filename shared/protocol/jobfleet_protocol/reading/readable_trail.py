"""The trail for readers: a row that cannot be read is shown as such, and hides no other row.

Writers use the trail itself, which raises: none may decide on top of a row that it cannot read.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from jobfleet_contracts.errors import RowUnreadable
from jobfleet_contracts.event import Event
from jobfleet_contracts.ports import AuditTrail

PAGE = 1000
_UNREADABLE = (ValueError, KeyError, TypeError, AttributeError)


class ReadableTrail:
    """Reads events, with a stand-in (``Event.unreadable``) for each row that cannot be read."""

    def __init__(self, trail: AuditTrail) -> None:
        self._trail = trail

    async def newest(self, job_id: str) -> Event | None:
        """Return the job's last event; one request, unless its row cannot be read."""
        try:
            return await self._trail.newest(job_id)
        except _UNREADABLE:
            return await self.read(job_id, await self._last_sequence(job_id))

    async def read(self, job_id: str, sequence: int) -> Event | None:
        """Return one event, ``None`` if it has not been written."""
        try:
            return await self._trail.read(job_id, sequence)
        except RowUnreadable as error:
            return Event.unreadable(job_id, sequence, error.reason)
        except _UNREADABLE as error:
            return Event.unreadable(job_id, sequence, f"{type(error).__name__}: {error}")

    async def history(
        self, job_id: str, *, after: int = 0, before: int | None = None, limit: int = PAGE
    ) -> Sequence[Event]:
        """Return up to ``limit`` events with ``after < sequence < before``, oldest first.

        With ``before`` the newest ones of that range are chosen, else the oldest.
        """
        try:
            return await self._trail.history(job_id, after=after, before=before, limit=limit)
        except _UNREADABLE:
            if before is None:
                return await self._between(job_id, after, after + limit + 1)
            return await self._between(job_id, max(after, before - limit - 1), before)

    async def lifecycle(self, job_id: str, *, last: int, limit: int = PAGE) -> Sequence[Event]:
        """Return up to ``limit`` events that are not steps, the newest ones, oldest first.

        It may be fewer than ``limit``: ``lifecycle_before`` of the first one names the next older.

        Args:
            last: sequence of the lifecycle event that comes last.
        """
        try:
            return await self._trail.lifecycle(job_id, last=last, limit=limit)
        except _UNREADABLE:
            return await self._one_by_one(job_id, last, limit)

    async def complete(self, job_id: str) -> list[Event]:
        """Return all events of a job, oldest first; empty if there is no such job."""
        events: list[Event] = []
        while page := await self.history(job_id, after=events[-1].sequence if events else 0):
            events += page
        return events

    async def scan(self) -> AsyncIterator[Sequence[Event]]:
        """Yield each job's complete history; the trail itself puts the stand-ins in."""
        async for history in self._trail.scan():
            yield history

    async def _between(self, job_id: str, after: int, before: int) -> list[Event]:
        """Halve the range until only rows that cannot be read are left: they are few."""
        if before - after <= 2:  # noqa: PLR2004 - one row
            event = await self.read(job_id, after + 1) if before - after > 1 else None
            return [] if event is None else [event]
        try:
            limit = before - after - 1
            return list(await self._trail.history(job_id, after=after, before=before, limit=limit))
        except _UNREADABLE:
            middle = (after + before) // 2
            older = await self._between(job_id, after, middle + 1)
            return older + await self._between(job_id, middle, before)

    async def _one_by_one(self, job_id: str, last: int, limit: int) -> list[Event]:
        """Follow the rows; behind one that cannot be read, the row before it shows the way."""
        newest_first: list[Event] = []
        while last > 0 and len(newest_first) < limit:
            event = await self.read(job_id, last)
            if event is None:
                break
            if not event.is_step:
                newest_first.append(event)
            last = event.after.lifecycle_before if event.is_readable else last - 1
        return newest_first[::-1]

    async def _last_sequence(self, job_id: str) -> int:
        """Find the end of a history without gaps, in as many looks as its length has bits."""
        low, high = 1, 2
        while await self.read(job_id, high) is not None:
            low, high = high, high * 2
        while high - low > 1:
            middle = (low + high) // 2
            if await self.read(job_id, middle) is None:
                high = middle
            else:
                low = middle
        return low
