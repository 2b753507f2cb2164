"""Groups: open one, add members, seal it. The rest is its members' endings."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from jobfleet_contracts.errors import ActionRefused, BackendError, InvalidRequest, UnknownJob
from jobfleet_contracts.event import Event, JobFacts
from jobfleet_contracts.group_marks import GroupMarks
from jobfleet_contracts.internal_job import GROUP_TYPE, check_clear, check_submitted, is_internal_id
from jobfleet_contracts.job_id import job_id_for_key
from jobfleet_contracts.ports import AuditTrail, Clock, JobIndex, PayloadStore
from jobfleet_contracts.state import State, Status
from jobfleet_contracts.value_coder import NO_CODER, ValueCoder
from jobfleet_protocol.actions.answer_limit import answered
from jobfleet_protocol.actions.ending import Ending
from jobfleet_protocol.actions.group_cancellation import GroupCanceller
from jobfleet_protocol.actions.group_counts import MOST_MEMBERS, member_id
from jobfleet_protocol.actions.group_ending import ON_FAILURE, OnFailure, total_of
from jobfleet_protocol.actions.same_body import check_same_body
from jobfleet_protocol.actions.submission import (
    Submitted,
    Submitter,
    open_row,
    opening_change,
    reopen_if_slow,
)
from jobfleet_protocol.control.fleet_seal import FleetSeal
from jobfleet_protocol.trail.large_data import resolve
from jobfleet_protocol.trail.trail_writer import TrailWriter
from jobfleet_protocol.trail.transitions import Change, draft

if TYPE_CHECKING:
    from jobfleet_contracts.job import JobRequest
    from jobfleet_contracts.message import JobDefaults

SEAL_SECONDS = 3600.0
LONGEST_SEAL_SECONDS = 30 * 86_400.0
_NEWS_SHARE = 4
"""A member added after a quarter of the seal's time-out is noted in the group's log."""


class Groups:
    """The caller's side of groups."""

    def __init__(
        self,
        *,
        trail: AuditTrail,
        index: JobIndex,
        payloads: PayloadStore,
        marks: GroupMarks,
        writer: TrailWriter,
        submitter: Submitter,
        ending: Ending,
        canceller: GroupCanceller,
        clock: Clock,
        defaults: JobDefaults,
        fleet_seal: FleetSeal,
        coder: ValueCoder = NO_CODER,
    ) -> None:
        self._coder = coder
        self._trail = trail
        self._index = index
        self._payloads = payloads
        self._marks = marks
        self._writer = writer
        self._submitter = submitter
        self._ending = ending
        self._canceller = canceller
        self._clock = clock
        self._defaults = defaults
        self._fleet_seal = fleet_seal

    async def open(
        self, request: JobRequest, *, idempotency_key: str | None = None, by: str | None = None
    ) -> Submitted:
        """Open a group; the same request again is the same group.

        Args:
            request: as :func:`group_request` returns it.

        Raises:
            BodyConflict: the id or key was used before with another body.
            InvalidRequest: the id is one of jobfleet's own, or a field holds an encoded value.
            BackendUnavailable: the trail did not answer in 8 s; open it again with the same id.
        """
        if idempotency_key is not None:
            request = request.model_copy(update={"job_id": job_id_for_key(idempotency_key)})
        if is_internal_id(request.job_id):
            message = "groupId: UUIDs of version 8 are for jobs that jobfleet makes"
            raise InvalidRequest(message, field="groupId")
        check_clear(request)
        request = self._coder.request(request)
        return await answered(
            self._unsealed(lambda: self._open(request, by)),
            name=f"group-{request.job_id}",
            unclear="open it again with the same id or idempotency key",
        )

    async def open_member(
        self, group_id: str, index: int, request: JobRequest, *, by: str | None = None
    ) -> Submitted:
        """Open a group that is a member of another one; the same request again is the same group.

        Its mark waits for its own members.

        Args:
            request: as :func:`group_request` returns it; its id is made anew.

        Raises:
            UnknownJob, ActionRefused, InvalidRequest, BodyConflict: as :meth:`add`.
            BackendUnavailable: the trail did not answer in 8 s; open it again.
        """
        _check_place(index)
        check_clear(request)
        request = self._coder.request(request)
        return await answered(
            self._unsealed(lambda: self._add(group_id, index, request, by, self._open)),
            name=f"member-{group_id}-{index}",
            unclear="open the same group at the same place again",
        )

    async def _unsealed(self, work: Callable[[], Awaitable[Submitted]]) -> Submitted:
        """Accept nothing in a fleet that is being moved; look again behind the write."""
        await self._fleet_seal.check()
        submitted = await work()
        await self._fleet_seal.check()
        return submitted

    async def _open(self, request: JobRequest, by: str | None) -> Submitted:
        # Before the row is sent: see `reopen_if_slow`.
        now, since = self._clock.now(), self._clock.boottime()
        facts = JobFacts.of(request)
        data = opening_change(request, self._defaults, now=now, by=by).data
        change = Change(
            kind=Status.WAITING,
            due_at=now + timedelta(seconds=request.payload["sealSeconds"]),
            message=request.description or f"group {request.name} opened",
            data=data,
        )
        event = draft(None, facts, change, occurred_at=now)
        await self._index.open(open_row(facts, event.after, now))
        found = await self._writer.append([event])
        if found is None:
            await reopen_if_slow(self._index, self._clock, event, since=since)
            return Submitted(request.job_id, event.after.state, created=True)
        check_same_body(request, await resolve(found, self._payloads))
        head = await self._trail.newest(request.job_id) or found
        return Submitted(request.job_id, head.after.state, created=False)

    async def add(
        self, group_id: str, index: int, request: JobRequest, *, by: str | None = None
    ) -> Submitted:
        """Submit the member at a place of a group; the same member again is the same job.

        Args:
            request: an ordinary job's request; its id is made anew, from group and place.

        Raises:
            UnknownJob: there is no such group.
            ActionRefused: it has ended, or it is sealed with fewer members.
            InvalidRequest: the job is one that no caller may submit, or the place is none.
            BodyConflict: another job stands at this place.
            BackendUnavailable: the trail did not answer in 8 s; submit it again.
        """
        check_submitted(request)
        _check_place(index)
        request = self._coder.request(request)
        return await answered(
            self._unsealed(lambda: self._add(group_id, index, request, by, self._submit)),
            name=f"member-{group_id}-{index}",
            unclear="submit the same member again",
        )

    async def _submit(self, request: JobRequest, by: str | None) -> Submitted:
        return await self._submitter.submit_internal(request, by=by or "a group")

    async def _add(
        self,
        group_id: str,
        index: int,
        request: JobRequest,
        by: str | None,
        submit: Callable[[JobRequest, str | None], Awaitable[Submitted]],
    ) -> Submitted:
        from jobfleet_contracts.job import Member

        head = await self._head(group_id)
        job_id = member_id(group_id, index)
        refusal = await self._refusal(head, index)
        if refusal is not None and await self._trail.read(job_id, 1) is None:
            raise ActionRefused(refusal)
        request = request.model_copy(
            update={"job_id": job_id, "member": Member(group_id=group_id, index=index)}
        )
        done = await submit(request, by or f"group {group_id}")
        if refusal is None:
            await self._note_news(head, index)
        # Read behind the insert: a cancel of the members meanwhile may have missed this one.
        group = await self._head(group_id)
        is_cancelled = group.after.cancel_requested or group.after.state is State.CANCELLED
        if is_cancelled and not done.state.is_terminal:
            await self._canceller.cancel_member(group_id, job_id)
            newest = await self._trail.newest(job_id)
            return replace(done, state=done.state if newest is None else newest.after.state)
        return done

    async def _refusal(self, head: Event, index: int) -> str | None:
        """Say why a new member is refused. A missing one of a sealed group is not."""
        if head.after.state.is_terminal:
            return f"group {head.job_id} is {head.after.state.value} already"
        total = await total_of(head, self._trail)
        if total is not None and index >= total:
            return f"group {head.job_id} is sealed with {total} members; open another one"
        return None

    async def _note_news(self, head: Event, index: int) -> None:
        """Tell the log now and then that the group still grows: else the rescuer gives it up."""
        due_at = head.after.due_at
        limit = timedelta() if due_at is None else due_at - head.facts.created_at
        if self._clock.now() - head.occurred_at < limit / _NEWS_SHARE:
            return
        if await total_of(head, self._trail) is not None:
            return
        change = Change(
            kind=Status.STEP,
            step=index + 1,
            message=f"member {index} submitted",
            data={"step": index + 1},
        )
        # Refused where the group was sealed meanwhile: no step stands after the seal.
        await self._writer.append([draft(head, head.facts, change, occurred_at=self._clock.now())])

    async def seal(self, group_id: str, total: int, *, by: str | None = None) -> State:
        """Say that the group has all its members; it ends when they have ended.

        Raises:
            UnknownJob: there is no such group.
            ActionRefused: it has ended unsealed, or is sealed with another total.
            BackendUnavailable: the trail did not answer in 8 s; seal it again.
        """
        if not 0 <= total <= MOST_MEMBERS:
            raise InvalidRequest(f"total: must be from 0 to {MOST_MEMBERS:,}", field="total")
        return await answered(
            self._seal(group_id, total, by),
            name=f"seal-{group_id}",
            unclear="seal it again with the same total",
        )

    async def _seal(self, group_id: str, total: int, by: str | None) -> State:
        while True:
            head = await self._head(group_id)
            known = await total_of(head, self._trail)
            if known is not None and known != total:
                message = f"group {group_id} is sealed with {known} members, not {total}"
                raise ActionRefused(message)
            if known is not None:
                break
            if head.after.state.is_terminal:
                raise ActionRefused(f"group {group_id} is {head.after.state.value} already")
            data: dict[str, Any] = {"total": total} | ({"by": by} if by else {})
            change = Change(kind=Status.SEALED, message=f"sealed with {total} members", data=data)
            event = draft(head, head.facts, change, occurred_at=self._clock.now())
            if await self._writer.append([event]) is None:
                head = event
                break
        # Members that ended before the seal did not see it: only the sealer ends their group. What
        # storage refuses now is left to the rescuer, which looks at every open group.
        with contextlib.suppress(BackendError):
            await self._ending.end_group_if_due(head)
        newest = await self._head(group_id)
        return newest.after.state

    async def _head(self, group_id: str) -> Event:
        return group_head(group_id, await self._trail.newest(group_id))


def _check_place(index: int) -> None:
    if not 0 <= index < MOST_MEMBERS:
        message = f"index: must be from 0 to {MOST_MEMBERS - 1:,}"
        raise InvalidRequest(message, field="index")


def group_head(group_id: str, head: Event | None) -> Event:
    """Return the newest event of a group.

    Raises:
        UnknownJob: there is no such job.
        ActionRefused: the job is not a group.
    """
    if head is None:
        raise UnknownJob(f"no group {group_id}")
    if head.facts.job_type != GROUP_TYPE:
        raise ActionRefused(f"job {group_id} is not a group")
    return head


def group_request(
    fields: dict[str, Any],
    *,
    on_failure: OnFailure = "continue",
    seal_seconds: float = SEAL_SECONDS,
) -> JobRequest:
    """Return the checked request of a group.

    Args:
        fields: those of a job request in its wire form: ``jobName``, ``then``, ``callbackUrl`` …
        on_failure: ``continue`` ends the group when all members have ended; ``hold`` keeps it
            waiting for those that did not complete, until they are redriven or dismissed.
            ``cancel`` cancels the others when the first one did not complete.
        seal_seconds: a group fails that is not sealed and unchanged for so long.

    Raises:
        InvalidRequest: a value does not fit; ``field`` names it.
    """
    from jobfleet_contracts.job import JobRequest

    if on_failure not in ON_FAILURE:
        message = f"onFailure: must be one of {', '.join(ON_FAILURE)}"
        raise InvalidRequest(message, field="onFailure")
    if not 1 <= seal_seconds <= LONGEST_SEAL_SECONDS:
        raise InvalidRequest("sealSeconds: must be from 1 s to 30 days", field="sealSeconds")
    payload = {"onFailure": on_failure, "sealSeconds": float(seal_seconds)}
    return JobRequest.parse(fields | {"type": GROUP_TYPE, "payload": payload, "maxAttempts": 1})
