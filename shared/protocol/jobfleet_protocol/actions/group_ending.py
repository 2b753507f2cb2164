"""How a group learns that its members have ended: marks, counts, and its own last event.

No member counts up: each one inserts its mark, then reads. So at least the last one to insert sees
all marks, and a repetition changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, Protocol

import structlog

from jobfleet_contracts.event import Event
from jobfleet_contracts.group_marks import GroupMarks
from jobfleet_contracts.outcome import JobError
from jobfleet_contracts.ports import AuditTrail, Clock
from jobfleet_contracts.state import State, Status
from jobfleet_protocol.actions.group_counts import (
    Count,
    block_of,
    block_partition,
    blocks_of,
    mark_of,
    member_id,
    newest_counts,
    newest_marks,
    places_of,
    root_partition,
    size_of,
)
from jobfleet_protocol.trail.trail_writer import TrailWriter
from jobfleet_protocol.trail.transitions import Change, draft

if TYPE_CHECKING:
    from jobfleet_contracts.job import JobRequest

OnFailure = Literal["continue", "hold", "cancel"]
ON_FAILURE: tuple[OnFailure, ...] = ("continue", "hold", "cancel")
GROUP_ENDED = "group.ended"
GROUP_CANCELLED = "group.cancel_requested"
NOT_SEALED = "NotSealed"
BY_POLICY = "onFailure"
"""In the data of a ``CancelRequested`` that only a member asked for, since it did not complete."""
MISSED_AT_ONCE = 100
CANCELLED_UNSEALED_SECONDS = 60.0
"""How long a group whose cancel was asked for waits for its caller to seal it."""

_log = structlog.get_logger()


def seal_seconds_of(request: JobRequest) -> float:
    """Return how long a group may stay unchanged before it is sealed."""
    return float(_payload(request)["sealSeconds"])


def on_failure_of(request: JobRequest) -> OnFailure:
    """Return what a member that did not complete means to its group."""
    found: OnFailure = _payload(request)["onFailure"]
    return found


def _payload(request: JobRequest) -> Mapping[str, Any]:
    payload: Mapping[str, Any] = request.payload
    return payload


class _Rows(Protocol):
    async def read(self, job_id: str, sequence: int) -> Event | None:
        """Return one event, ``None`` if it has not been written."""
        ...


async def _newest_of(kind: Status, head: Event, trail: _Rows) -> Event | None:
    event: Event | None = head
    while event is not None and event.kind is not kind:
        before = event.after.lifecycle_before
        event = await trail.read(head.job_id, before) if before else None
    return event


async def total_of(head: Event, trail: _Rows) -> int | None:
    """Return the number of members that a group was sealed with; ``None``: it is not sealed.

    Args:
        head: the newest event of the group.
    """
    event = await _newest_of(Status.SEALED, head, trail)
    return None if event is None else int(event.data["total"])


async def cancel_of(head: Event, trail: _Rows) -> Event | None:
    """Return the event that asked for the cancel of an open group; ``None``: there is none."""
    if not head.after.cancel_requested:
        return None
    return await _newest_of(Status.CANCEL_REQUESTED, head, trail)


@dataclass(frozen=True, slots=True)
class Marked:
    """A group that has not ended, after a member's mark was inserted.

    Attributes:
        group: its newest event.
        state: by which the member counts.
        is_full: whether the group may end: it is sealed, and the member's block has all marks.
    """

    group: Event
    state: str
    is_full: bool


class GroupEnding:
    """Marks members and ends groups. What it ends is the caller's to conclude."""

    def __init__(
        self, *, trail: AuditTrail, marks: GroupMarks, writer: TrailWriter, clock: Clock
    ) -> None:
        self._trail = trail
        self._marks = marks
        self._writer = writer
        self._clock = clock
        self._looked: dict[str, int] = {}

    async def mark(self, head: Event, index: int, group_id: str) -> Marked | None:
        """Insert the mark of a member that has ended; repeatable.

        Args:
            head: the member's newest event.
            index: its place in the group.

        Returns:
            Where the group stands: see :meth:`judge`. ``None``: it has ended, or there is none.

        Raises:
            BackendUnavailable: the mark may not stand yet; do it again.
        """
        block = block_of(index)
        row, state = mark_of(head, index)
        await self._marks.insert(block_partition(group_id, block), row, state)
        # Both reads come after the insert: read before it, the seal or the mark of the last other
        # member may be missed, and no worker looks again.
        group = await self._trail.newest(group_id)
        if group is None or group.after.state.is_terminal:
            return None
        total = await total_of(group, self._trail)
        is_full = await self._count_block(group_id, block, total)
        return Marked(group, state, is_full=is_full and total is not None)

    async def count_all(self, group: Event, total: int) -> None:
        """Look at every block, as after a seal, when members may have ended before it."""
        for block in blocks_of(total):
            await self._count_block(group.job_id, block, total)

    async def missed(self, group: Event, total: int) -> list[tuple[int, Event]]:
        """Return members that have ended and have no mark, each with its newest event.

        A member whose request was erased, removed or lost cannot tell its group. One call looks at
        a hundred members without a mark, the next call at the following ones.
        """
        group_id = group.job_id
        missing: list[int] = []
        for block in blocks_of(total):
            marks = newest_marks(await self._marks.read(block_partition(group_id, block)))
            missing += [index for index in places_of(block, total) if index not in marks]
        looked = self._looked.get(group_id, -1)
        some = [index for index in missing if index > looked][:MISSED_AT_ONCE]
        if len(some) == MISSED_AT_ONCE:
            self._looked[group_id] = some[-1]
        else:
            self._looked.pop(group_id, None)
        heads = [(index, await self._trail.newest(member_id(group_id, index))) for index in some]
        return [(i, head) for i, head in heads if head is not None and head.after.state.is_terminal]

    async def _count_block(self, group_id: str, block: int, total: int | None) -> bool:
        rows = await self._marks.read(block_partition(group_id, block))
        count = Count.of_marks(rows)
        if count.members < size_of(block, total):
            return False
        # The number of marks orders the counts of a block: of two, the higher has seen more.
        await self._marks.insert(root_partition(group_id), f"{block}~{len(rows)}", count.to_text())
        return True

    async def judge(self, group: Event, request: JobRequest) -> Event | None:
        """End a sealed group all of whose members have ended; one of all that try wins.

        Args:
            group: its newest event.
            request: what the group was opened with.

        Returns:
            The ending, if this call wrote it.
        """
        while not group.after.state.is_terminal:
            total = await total_of(group, self._trail)
            if total is None:
                return None
            counts = newest_counts(await self._marks.read(root_partition(group.job_id)))
            if any(block not in counts for block in blocks_of(total)):
                return None
            count = Count.sum(counts[block] for block in blocks_of(total))
            cancel = await cancel_of(group, self._trail)
            if on_failure_of(request) == "hold" and count.bad and cancel is None:
                return None
            change = _ending(count, total, cancel)
            event = draft(group, group.facts, change, occurred_at=self._clock.now())
            if await self._writer.append([event]) is None:
                _log.info(GROUP_ENDED, job_id=group.job_id, state=event.after.state.value)
                return event
            group = await self._trail.newest(group.job_id) or event
        return None

    async def give_up_unsealed(self, group: Event, request: JobRequest) -> Event | None:
        """End a group whose caller has neither added to it nor sealed it for its time-out.

        It fails. One whose cancel was asked for waits a minute at most, and is cancelled.
        """
        limit = seal_seconds_of(request)
        cancel = await cancel_of(group, self._trail)
        if cancel is not None:
            limit = min(limit, CANCELLED_UNSEALED_SECONDS)
        if self._clock.now() - group.occurred_at < timedelta(seconds=limit):
            return None
        if cancel is None:
            message = f"not sealed, and unchanged for {limit:g} s; its members go on by themselves"
            error = JobError(NOT_SEALED, message).to_json()
            change = Change(kind=Status.FAILED, message=message, data={"error": error})
        else:
            message = f"{cancel.message}; it was never sealed"
            change = Change(kind=Status.CANCELLED, message=message)
        event = draft(group, group.facts, change, occurred_at=self._clock.now())
        return event if await self._writer.append([event]) is None else None

    async def request_cancel(self, group: Event, why: str) -> Event | None:
        """Ask for the cancel of a group, as its first member that did not complete does.

        Args:
            group: its newest event.
            why: which member it was.

        Returns:
            The group's newest event; ``None``: it has ended.
        """
        newest: Event | None = group
        while newest is not None and not newest.after.state.is_terminal:
            if newest.after.cancel_requested:
                return newest
            change = Change(
                kind=Status.CANCEL_REQUESTED,
                message=f"{why}: the other members are cancelled",
                data={BY_POLICY: True},
            )
            event = draft(newest, newest.facts, change, occurred_at=self._clock.now())
            if await self._writer.append([event]) is None:
                _log.info(GROUP_CANCELLED, job_id=group.job_id, reason=why)
                return event
            newest = await self._trail.newest(group.job_id)
        return None


def _ending(count: Count, total: int, cancel: Event | None) -> Change:
    counted = {
        "total": total,
        "states": dict(sorted(count.states.items())),
        "incarnations": count.incarnations,
    }
    others = total - count.states[State.COMPLETED]
    if not others:
        result = {"members": total}
        return Change(
            kind=Status.COMPLETED,
            message=f"{total} members completed",
            data={"group": counted, "result": result},
        )
    message = f"{others} of {total} members did not complete"
    if cancel is not None and BY_POLICY not in cancel.data:
        message = f"{cancel.message}; {message}"
        return Change(kind=Status.CANCELLED, message=message, data={"group": counted})
    error = JobError("MembersFailed", message).to_json()
    return Change(kind=Status.FAILED, message=message, data={"group": counted, "error": error})
