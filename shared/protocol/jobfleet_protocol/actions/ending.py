"""What follows a terminal event: callback job and successors, then the end of the open row."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable
from typing import TYPE_CHECKING

import structlog

from jobfleet_contracts.errors import BodyConflict, DataMissing
from jobfleet_contracts.event import Event
from jobfleet_contracts.internal_job import CALLBACK_TYPE
from jobfleet_contracts.message import JobDefaults
from jobfleet_contracts.ports import AuditTrail, Clock, JobIndex, PayloadStore
from jobfleet_contracts.state import Status
from jobfleet_protocol.actions.final_result import callback_job_id, delivery_payload
from jobfleet_protocol.actions.group_cancel_job import group_cancel_request
from jobfleet_protocol.actions.group_counts import is_bad, member_id
from jobfleet_protocol.actions.group_ending import (
    GroupEnding,
    Marked,
    cancel_of,
    on_failure_of,
    total_of,
)
from jobfleet_protocol.actions.submission import Submitter, request_of
from jobfleet_protocol.actions.successors import successors_of
from jobfleet_protocol.trail.erased_values import holds_no_request
from jobfleet_protocol.trail.large_data import resolve

if TYPE_CHECKING:
    from jobfleet_contracts.job import JobRequest

CALLBACK_DEFAULTS = JobDefaults(
    max_attempts=30, retry_delay_seconds=5, retry_max_seconds=7200, timeout_seconds=60
)
"""Back-off to two hours: thirty attempts span about a day."""

CALLBACK_CONFLICT = "callback.id_taken"
SUCCESSOR_CONFLICT = "successor.id_taken"

_log = structlog.get_logger()


class Ending:
    """Submits the jobs that follow a terminal event, and removes the open row last.

    While the open row stands, the rescuer finds the job and repeats what is missing.
    """

    def __init__(
        self,
        *,
        trail: AuditTrail,
        index: JobIndex,
        payloads: PayloadStore,
        callback_submitter: Submitter,
        submitter: Submitter,
        groups: GroupEnding,
        clock: Clock,
    ) -> None:
        """Take the parts.

        Args:
            callback_submitter: submits callback jobs, with :data:`CALLBACK_DEFAULTS`.
            submitter: submits successors, with the fleet's defaults.
            groups: marks members of groups.
        """
        self._trail = trail
        self._index = index
        self._clock = clock
        self._payloads = payloads
        self._callback_submitter = callback_submitter
        self._submitter = submitter
        self._groups = groups

    async def submit_followers(self, head: Event, request: JobRequest) -> None:
        """Submit the job that delivers the result, and the successors; mark a group's member.

        All of it is repeatable. A group whose last member this was is ended and concluded.

        Another job under the id of one of them is logged as an error: nothing will deliver this
        result, or run that successor. The job's page and ``GET /api/jobs/{jobId}`` show it too.

        Raises:
            BackendUnavailable: one could not be written; the rescuer will see to it.
        """
        if request.callback_url is not None:
            delivery = delivery_of(head, request)
            await self._submit(self._callback_submitter, delivery, head, CALLBACK_CONFLICT)
        for successor in successors_of(head, request):
            await self._submit(self._submitter, successor, head, SUCCESSOR_CONFLICT)
        if request.member is not None:
            await self._mark(head, request.member.index, request.member.group_id)

    async def _mark(self, head: Event, index: int, group_id: str) -> None:
        marked = await self._groups.mark(head, index, group_id)
        if marked is None:
            return
        group: Event | None = marked.group
        if is_bad(marked.state) and not marked.group.after.cancel_requested:
            group = await self._cancel_by_policy(marked, f"member {index} {marked.state}")
        if marked.is_full and group is not None:
            await self._judge(group)

    async def _cancel_by_policy(self, marked: Marked, why: str) -> Event | None:
        """Cancel the group of a member that did not complete, if it was opened so."""
        request = await self._request_of(marked.group.job_id)
        if request is None or on_failure_of(request) != "cancel":
            return marked.group
        group = await self._groups.request_cancel(marked.group, why)
        if group is not None:
            await self._submit_cancel(group)
        return group

    async def _submit_cancel(self, group: Event) -> None:
        """Submit the job that cancels the members; repeatable, and due again from time to time."""
        cancel = await cancel_of(group, self._trail)
        if cancel is None:
            return
        first = await self._trail.newest(member_id(group.job_id, 0))
        queue = group.facts.queue if first is None else first.facts.queue
        total = await total_of(group, self._trail)
        job = group_cancel_request(
            group, total, queue=queue, asked_at=cancel.occurred_at, now=self._clock.now()
        )
        with contextlib.suppress(BodyConflict):  # submitted before, when member 0 was not there
            await self._submitter.submit_internal(job, by=f"group {group.job_id}")

    async def end_group_if_due(self, group: Event, *, seek_missed: bool = False) -> None:
        """End an open group if it is time, whatever its members have missed; repeatable.

        Args:
            group: its newest event.
            seek_missed: look for members that have ended and cannot tell it any more.
        """
        if group.after.cancel_requested:  # the process that asked may have died before this
            await self._submit_cancel(group)
        total = await total_of(group, self._trail)
        if total is not None:
            await self._groups.count_all(group, total)
            for index, head in await self._groups.missed(group, total) if seek_missed else ():
                await self._mark(head, index, group.job_id)
        await self._judge(group)

    async def mark_in_group(self, head: Event) -> None:
        """Mark a member whose values are to be erased, as long as its request names its group.

        Raises:
            BackendUnavailable: the mark may not stand yet; do it again.
        """
        request = await self._request_of(head.job_id)
        if request is not None and request.member is not None:
            await self._mark(head, request.member.index, request.member.group_id)

    async def _judge(self, group: Event) -> None:
        request = await self._request_of(group.job_id)
        if request is None or group.after.state.is_terminal:
            return
        if await total_of(group, self._trail) is None:
            ended = await self._groups.give_up_unsealed(group, request)
        else:
            ended = await self._groups.judge(group, request)
        if ended is not None:
            await self.conclude(ended, request)

    async def _submit(
        self, submitter: Submitter, request: JobRequest, head: Event, conflict: str
    ) -> None:
        try:
            await submitter.submit_internal(request, by=f"job {head.job_id}")
        except BodyConflict as error:
            _log.error(conflict, job_id=head.job_id, error=str(error))

    def close(self, head: Event) -> Awaitable[None]:
        """Remove the open row of the incarnation that ``head`` ended."""
        return self._index.close(head.job_id, head.after.incarnation)

    async def conclude(self, head: Event, request: JobRequest | None = None) -> None:
        """Submit what follows, then remove the open row.

        Args:
            request: the job's, if the caller has it; else it is read from the trail.
        """
        if head.status == Status.ERASED:
            request = None  # its result is not delivered
            await self.mark_in_group(head)
        elif request is None:
            request = await self._request_of(head.job_id)
        if request is not None:
            await self.submit_followers(head, request)
        await self.close(head)

    async def _request_of(self, job_id: str) -> JobRequest | None:
        """Return a job's request; ``None`` if it is lost, and with it what follows."""
        opening = await self._trail.read(job_id, 1)
        if opening is not None and not holds_no_request(opening):
            with contextlib.suppress(DataMissing):
                return request_of(await resolve(opening, self._payloads))
        return None


def delivery_of(head: Event, request: JobRequest) -> JobRequest:
    """Return the job that delivers the result of the incarnation that ``head`` ended.

    It names the incarnation and nothing else: address and body come from the trail.
    """
    from jobfleet_contracts.job import JobRequest

    incarnation = head.after.incarnation
    return JobRequest(
        job_id=callback_job_id(head.job_id, incarnation),
        type=CALLBACK_TYPE,
        job_name=f"callback of {request.name}"[:200],
        payload=delivery_payload(head.job_id, incarnation),
        queue=request.queue,
        created_at=head.occurred_at,
    )
