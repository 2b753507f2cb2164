"""How a group learns that its members have ended: marks, counts, and its own last event.

Nobody counts up: each member inserts its mark, then reads. So at least the last one to insert sees
all marks, and a repetition changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol

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
    newest_counts,
    root_partition,
    size_of,
)
from jobfleet_protocol.trail.trail_writer import TrailWriter
from jobfleet_protocol.trail.transitions import Change, draft

if TYPE_CHECKING:
    from jobfleet_contracts.job import JobRequest, Member

GROUP_ENDED = "group.ended"
NOT_SEALED = "NotSealed"

_log = structlog.get_logger()


def seal_seconds_of(request: JobRequest) -> float:
    """Return how long a group may stay unchanged before it is sealed."""
    return float(_payload(request)["sealSeconds"])


def holds(request: JobRequest) -> bool:
    """Whether a member that did not complete keeps the group waiting."""
    return bool(_payload(request)["onFailure"] == "hold")


def _payload(request: JobRequest) -> Mapping[str, Any]:
    payload: Mapping[str, Any] = request.payload
    return payload


class _Rows(Protocol):
    async def read(self, job_id: str, sequence: int) -> Event | None:
        """Return one event, ``None`` if it has not been written."""
        ...


async def total_of(head: Event, trail: _Rows) -> int | None:
    """Return the number of members that a group was sealed with; ``None``: it is not sealed.

    Args:
        head: the newest event of the group.
    """
    event: Event | None = head
    while event is not None and event.kind is not Status.SEALED:
        before = event.after.lifecycle_before
        event = await trail.read(head.job_id, before) if before else None
    return None if event is None else int(event.data["total"])


class GroupEnding:
    """Marks members and ends groups. What it ends is the caller's to conclude."""

    def __init__(
        self, *, trail: AuditTrail, marks: GroupMarks, writer: TrailWriter, clock: Clock
    ) -> None:
        self._trail = trail
        self._marks = marks
        self._writer = writer
        self._clock = clock

    async def mark(self, head: Event, member: Member) -> Event | None:
        """Insert the mark of a member that has ended; repeatable.

        Args:
            head: the member's newest event.

        Returns:
            The group's newest event, if every member of its block has a mark: see :meth:`judge`.

        Raises:
            BackendUnavailable: the mark may not stand yet; do it again.
        """
        group_id, block = member.group_id, block_of(member.index)
        row, state = mark_of(head, member.index)
        await self._marks.insert(block_partition(group_id, block), row, state)
        # Both reads come after the insert: read before it, the seal or the mark of the last other
        # member may be missed, and nobody looks again.
        group = await self._trail.newest(group_id)
        if group is None or group.after.state.is_terminal:
            return None
        total = await total_of(group, self._trail)
        is_full = await self._count_block(group_id, block, total)
        return group if is_full and total is not None else None

    async def count_all(self, group: Event, total: int) -> None:
        """Look at every block, as after a seal, when members may have ended before it."""
        for block in blocks_of(total):
            await self._count_block(group.job_id, block, total)

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
            if holds(request) and count.bad:
                return None
            event = draft(group, group.facts, _ending(count, total), occurred_at=self._clock.now())
            if await self._writer.append([event]) is None:
                _log.info(GROUP_ENDED, job_id=group.job_id, state=event.after.state.value)
                return event
            group = await self._trail.newest(group.job_id) or event
        return None

    async def give_up_unsealed(self, group: Event, request: JobRequest) -> Event | None:
        """Fail a group whose caller has neither added to it nor sealed it for its time-out."""
        limit = seal_seconds_of(request)
        if self._clock.now() - group.occurred_at < timedelta(seconds=limit):
            return None
        message = f"not sealed, and unchanged for {limit:g} s; its members go on by themselves"
        error = JobError(NOT_SEALED, message).to_json()
        change = Change(kind=Status.FAILED, message=message, data={"error": error})
        event = draft(group, group.facts, change, occurred_at=self._clock.now())
        return event if await self._writer.append([event]) is None else None


def _ending(count: Count, total: int) -> Change:
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
    error = JobError("MembersFailed", message).to_json()
    return Change(kind=Status.FAILED, message=message, data={"group": counted, "error": error})
