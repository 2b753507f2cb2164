"""After an import: publishes what the rescuer would find lost, by the same rules, all at once.

The rescuer of the new fleet would do it too, but at its pace: it spares a living broker.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import structlog

from jobfleet_contracts.errors import DataMissing
from jobfleet_contracts.event import Event
from jobfleet_contracts.index import OpenRow
from jobfleet_contracts.internal_job import GROUP_TYPE
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.ports import AuditTrail, Clock, JobIndexReader, PayloadStore
from jobfleet_contracts.state import State
from jobfleet_protocol.actions.ending import Ending, delivery_of
from jobfleet_protocol.actions.publication import Publication
from jobfleet_protocol.actions.submission import message_of, request_of
from jobfleet_protocol.actions.successors import successors_of
from jobfleet_protocol.claiming.decision import ends_without_a_start
from jobfleet_protocol.control.pause_state import FleetPauses
from jobfleet_protocol.trail.large_data import resolve
from jobfleet_protocol.trail.tombstone import is_tombstone

AT_ONCE = 32
NOT_PUBLISHED = "job.not_published"

_log = structlog.get_logger()


class Republication:
    """Publishes the open jobs of a backend in which no worker is at work."""

    def __init__(
        self,
        *,
        trail: AuditTrail,
        reader: JobIndexReader,
        payloads: PayloadStore,
        publication: Publication,
        ending: Ending,
        clock: Clock,
        pauses: FleetPauses,
    ) -> None:
        self._trail = trail
        self._reader = reader
        self._payloads = payloads
        self._publication = publication
        self._ending = ending
        self._clock = clock
        self._pauses = pauses

    async def run(self) -> int:
        """Publish each open job that a worker may run now; return how many were published.

        What the broker does not confirm, or cannot be read, is left to the rescuer. What was
        published by an earlier call is not published again.
        """
        published, some = 0, list[OpenRow]()
        async for row in self._rows():
            some.append(row)
            if len(some) == AT_ONCE:
                published += sum(await asyncio.gather(*map(self._publish, some)))
                some.clear()
        return published + sum(await asyncio.gather(*map(self._publish, some)))

    async def _rows(self) -> AsyncIterator[OpenRow]:
        cursor: str | None = None
        while True:
            page = await self._reader.open_rows(cursor=cursor)
            for row in page.items:
                yield row
            cursor = page.next
            if cursor is None:
                return

    async def _publish(self, row: OpenRow) -> bool:
        head = await self._trail.newest(row.facts.job_id)
        if head is None or not head.is_readable or head.after.state.is_terminal:
            return False
        if row.published >= head.sequence or not self._may_go(head):
            return False
        opening = await self._trail.read(head.job_id, 1)
        if opening is None:
            return False
        try:
            message = await message_of(opening, head, self._payloads, self._clock.now())
        except (DataMissing, LookupError, TypeError, ValueError) as error:
            # One unreadable stored request must not keep the others from running.
            _log.error(NOT_PUBLISHED, job_id=head.job_id, error=type(error).__name__)
            return False
        return await self._publication.try_to_send(message, head)

    def _may_go(self, head: Event) -> bool:
        if head.facts.job_type == GROUP_TYPE:
            return False  # no worker claims a group: its members end it, or the rescuer
        if head.after.state is State.WAITING and head.after.sent:
            return False  # the third party answers, or the rescuer sees to the deadline
        held = self._pauses.holding_job(head) is not None
        return not held or ends_without_a_start(head, self._clock.now())

    async def conclude(self, end: Event) -> None:
        """Submit the jobs that must follow an ended one: its worker may have died before."""
        opening = await self._trail.read(end.job_id, 1)
        if opening is None or is_tombstone(opening):
            return
        request = request_of(await resolve(opening, self._payloads))
        for job_id in followers_of(end, request):
            if await self._trail.read(job_id, 1) is None:
                await self._ending.conclude(end, request)


def followers_of(end: Event, request: JobRequest) -> list[str]:
    """Return the ids of the jobs that are made when a job ends: its callback, its successors."""
    callback = [] if request.callback_url is None else [delivery_of(end, request)]
    return [job.job_id for job in (*callback, *successors_of(end, request))]
