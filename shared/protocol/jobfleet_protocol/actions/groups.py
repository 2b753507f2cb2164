"""Groups: open one, add members, seal it. The rest is its members' endings."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

from jobfleet_contracts.errors import ActionRefused, BackendError, InvalidRequest, UnknownJob
from jobfleet_contracts.event import Event, JobFacts
from jobfleet_contracts.group_marks import GroupMarks
from jobfleet_contracts.internal_job import GROUP_TYPE, check_submitted, is_internal_id
from jobfleet_contracts.job_id import job_id_for_key
from jobfleet_contracts.ports import AuditTrail, Clock, JobIndex, PayloadStore
from jobfleet_contracts.state import State, Status
from jobfleet_contracts.value_coder import NO_CODER, ValueCoder
from jobfleet_protocol.actions.answer_limit import answered
from jobfleet_protocol.actions.ending import Ending
from jobfleet_protocol.actions.group_counts import (
    MOST_MEMBERS,
    block_partition,
    blocks_of,
    member_id,
    newest_marks,
)
from jobfleet_protocol.actions.group_ending import holds, total_of
from jobfleet_protocol.actions.same_body import check_same_body
from jobfleet_protocol.actions.submission import (
    Submitted,
    Submitter,
    open_row,
    opening_change,
    reopen_if_slow,
    request_of,
)
from jobfleet_protocol.control.fleet_seal import FleetSeal
from jobfleet_protocol.reading.readable_trail import ReadableTrail
from jobfleet_protocol.trail.large_data import resolve
from jobfleet_protocol.trail.trail_writer import TrailWriter
from jobfleet_protocol.trail.transitions import Change, draft

if TYPE_CHECKING:
    from jobfleet_contracts.job import JobRequest
    from jobfleet_contracts.message import JobDefaults

OnFailure = Literal["continue", "hold"]
SEAL_SECONDS = 3600.0
LONGEST_SEAL_SECONDS = 30 * 86_400.0
_NEWS_SHARE = 4
"""A member added after a quarter of the seal's time-out is noted in the group's log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupStanding:
    """Where a group stands.

    Attributes:
        head: its newest event.
        on_failure: what it was opened with.
        total: number of its members; ``None``: not sealed yet.
        states: members that have ended, by state; ``dismissed`` is one of them.
        bad: indices of those that neither completed nor were dismissed, the first 1,000.
    """

    head: Event
    on_failure: OnFailure
    total: int | None
    states: Counter[str]
    bad: list[int]


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
            BackendUnavailable: the trail did not answer in 8 s; open it again with the same id.
        """
        if idempotency_key is not None:
            request = request.model_copy(update={"job_id": job_id_for_key(idempotency_key)})
        if is_internal_id(request.job_id):
            told = "groupId: UUIDs of version 8 are for jobs that jobfleet makes"
            raise InvalidRequest(told, field="groupId")
        request = self._coder.request(request)
        return await answered(
            self._unsealed(lambda: self._open(request, by)),
            name=f"group-{request.job_id}",
            unclear="open it again with the same id or idempotency key",
        )

    async def _unsealed(self, work: Callable[[], Awaitable[Submitted]]) -> Submitted:
        """Accept nothing in a fleet that is being moved; look again behind the write."""
        await self._fleet_seal.check()
        submitted = await work()
        await self._fleet_seal.check()
        return submitted

    async def _open(self, request: JobRequest, by: str | None) -> Submitted:
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
            request: of an ordinary job; its id is made anew, from group and place.

        Raises:
            UnknownJob: there is no such group.
            ActionRefused: it has ended, or it is sealed with fewer members.
            InvalidRequest: the job is one that nobody may submit, or the place is none.
            BodyConflict: another job stands at this place.
            BackendUnavailable: the trail did not answer in 8 s; submit it again.
        """
        check_submitted(request)
        if not 0 <= index < MOST_MEMBERS:
            told = f"index: must be from 0 to {MOST_MEMBERS - 1:,}"
            raise InvalidRequest(told, field="index")
        request = self._coder.request(request)
        return await answered(
            self._unsealed(lambda: self._add(group_id, index, request, by)),
            name=f"member-{group_id}-{index}",
            unclear="submit the same member again",
        )

    async def _add(
        self, group_id: str, index: int, request: JobRequest, by: str | None
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
        done = await self._submitter.submit_internal(request, by=by or f"group {group_id}")
        if refusal is None:
            await self._note_news(head, index)
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
        if head.kind is Status.SEALED or self._clock.now() - head.occurred_at < limit / _NEWS_SHARE:
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
                told = f"group {group_id} is sealed with {known} members, not {total}"
                raise ActionRefused(told)
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
            await self._ending.see_to_group(head)
        newest = await self._head(group_id)
        return newest.after.state

    async def standing(self, group_id: str) -> GroupStanding:
        """Return where a group stands, by its log and its marks.

        Raises:
            UnknownJob: there is no such group.
            ActionRefused: a row that tells of it was edited or erased, so nothing is concluded.
            BackendUnavailable: storage does not answer.
        """
        trail = ReadableTrail(self._trail)
        head = await trail.newest(group_id)
        if head is not None and not head.is_readable:
            raise ActionRefused(head.strangeness)
        head = _group(group_id, head)
        opening = await trail.read(group_id, 1) or head
        if not opening.is_readable:
            raise ActionRefused(opening.strangeness)
        try:
            return await self._counted(head, opening, trail)
        except ActionRefused:
            raise
        except (ValueError, KeyError, TypeError) as error:
            told = f"group {group_id}: what tells of it was edited or erased"
            raise ActionRefused(told) from error

    async def _counted(self, head: Event, opening: Event, trail: ReadableTrail) -> GroupStanding:
        group_id = head.job_id
        request = request_of(await resolve(opening, self._payloads))
        total = await total_of(head, trail)
        states: Counter[str] = Counter()
        bad: list[int] = []
        blocks = blocks_of(MOST_MEMBERS if total is None else total)
        for block in blocks:
            rows = await self._marks.read(block_partition(group_id, block))
            if total is None and not rows:
                break
            for index, (_, state) in sorted(newest_marks(rows).items()):
                states[state] += 1
                if state not in (State.COMPLETED, "dismissed") and len(bad) < 1000:  # noqa: PLR2004
                    bad.append(index)
        on_failure: OnFailure = "hold" if holds(request) else "continue"
        return GroupStanding(head=head, on_failure=on_failure, total=total, states=states, bad=bad)

    async def _head(self, group_id: str) -> Event:
        return _group(group_id, await self._trail.newest(group_id))


def _group(group_id: str, head: Event | None) -> Event:
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
        fields: of a job request in its wire form: ``jobName``, ``then``, ``callbackUrl`` …
        on_failure: ``continue`` ends the group when all members have ended; ``hold`` keeps it
            waiting for those that did not complete, until they are redriven or dismissed.
        seal_seconds: a group fails that is not sealed and unchanged for so long.

    Raises:
        InvalidRequest: a value does not fit; ``field`` names it.
    """
    from jobfleet_contracts.job import JobRequest

    if on_failure not in ("continue", "hold"):
        raise InvalidRequest("onFailure: must be continue or hold", field="onFailure")
    if not 1 <= seal_seconds <= LONGEST_SEAL_SECONDS:
        raise InvalidRequest("sealSeconds: must be from 1 s to 30 days", field="sealSeconds")
    payload = {"onFailure": on_failure, "sealSeconds": float(seal_seconds)}
    return JobRequest.parse(fields | {"type": GROUP_TYPE, "payload": payload, "maxAttempts": 1})
