"""Deliberate bugs in how a group learns that its members have ended."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from devtools.evidence.bug_class import BugClass
from jobfleet_contracts.event import Event
from jobfleet_contracts.group_marks import GroupMarks
from jobfleet_contracts.index import OpenRow
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.state import State
from jobfleet_protocol.actions import group_cancel_job
from jobfleet_protocol.actions.ending import Ending
from jobfleet_protocol.actions.group_cancellation import GroupCanceller
from jobfleet_protocol.actions.group_counts import block_of, block_partition, member_id
from jobfleet_protocol.actions.group_ending import GroupEnding, Marked, total_of
from jobfleet_protocol.trail.transitions import draft as drafted
from jobfleet_worker.upkeep.rescuer import Rescuer
from tests.simulation.chain_bugs import a_repeated_submit_ends_the_open_row
from tests.simulation.emphases import CRASHES, MANY_FAULTS, PLAIN
from tests.simulation.ending_bugs import callback_left_behind
from tests.simulation.known import Known


@contextmanager
def the_mark_after_the_open_row() -> Iterator[None]:
    """The member's open row goes first; a crash before the mark leaves its group waiting."""
    follow = Ending.submit_followers

    async def hasty(self: Ending, head: Event, request: JobRequest) -> None:
        if request.member is not None:
            await self.close(head)
        await follow(self, head, request)

    with patch.object(Ending, "submit_followers", hasty), _no_look_for_missed_marks():
        yield


class _AsBefore:
    """Marks whose rows are those that stood at an earlier time."""

    def __init__(self, marks: GroupMarks, partition: str, rows: Mapping[str, str]) -> None:
        self._marks = marks
        self._known = partition, rows

    def __getattr__(self, name: str) -> Any:
        return getattr(self._marks, name)

    async def read(self, partition: str) -> Mapping[str, str]:
        """Return the earlier rows of that partition."""
        known, rows = self._known
        return rows if partition == known else await self._marks.read(partition)

    async def insert(self, partition: str, row: str, value: str) -> bool:
        """Insert a row; the member sees its own, and none that came beside it."""
        known, rows = self._known
        if partition == known:
            self._known = known, {**rows, row: value}
        return await self._marks.insert(partition, row, value)


@contextmanager
def read_before_the_insert() -> Iterator[None]:
    """The member reads its block, then inserts its mark: two may miss each other."""
    mark = GroupEnding.mark

    async def hasty(self: GroupEnding, head: Event, index: int, group_id: str) -> Marked | None:
        partition = block_partition(group_id, block_of(index))
        marks: Any = _AsBefore(self._marks, partition, await self._marks.read(partition))
        one = GroupEnding(trail=self._trail, marks=marks, writer=self._writer, clock=self._clock)
        return await mark(one, head, index, group_id)

    with patch.object(GroupEnding, "mark", hasty), _no_look_by_the_rescuer():
        yield


def the_sealer_does_not_look() -> AbstractContextManager[Any]:
    """The caller that seals leaves the group to members that may all have ended before."""

    async def blind(_self: Ending, _group: Event, *, seek_missed: bool = False) -> None:
        """Look at nothing."""

    return patch.object(Ending, "end_group_if_due", blind)


@contextmanager
def the_seal_read_before_the_mark() -> Iterator[None]:
    """The member looks for the seal, then inserts its mark: the sealer may look in between."""
    mark = GroupEnding.mark

    async def hasty(self: GroupEnding, head: Event, index: int, group_id: str) -> Marked | None:
        group = await self._trail.newest(group_id)
        if group is not None and await total_of(group, self._trail) is None:
            partition = block_partition(group_id, block_of(index))
            await asyncio.sleep(1)  # as a slow request; the seal comes in between more often
            row = f"{index}~{head.after.incarnation}"
            await self._marks.insert(partition, row, head.after.state.value)
            return None
        return await mark(self, head, index, group_id)

    with patch.object(GroupEnding, "mark", hasty), _no_look_by_the_rescuer():
        yield


def the_cancel_without_its_job() -> AbstractContextManager[Any]:
    """The cancel of a group is noted, and the caller that noted it was to cancel the members."""

    async def forget(_self: Ending, _group: Event) -> None:
        """Submit nothing."""

    return patch.object(Ending, "_submit_cancel", forget)


def the_cancel_stops_at_an_ended_member() -> AbstractContextManager[Any]:
    """The job that cancels the members takes one that has ended for the last one."""
    cancel = GroupCanceller._cancel

    async def hasty(self: GroupCanceller, group_id: str, index: int) -> bool | None:
        for before in range(index):
            head = await self._trail.newest(member_id(group_id, before))
            if head is not None and head.after.state.is_terminal:
                return False
        return await cancel(self, group_id, index)

    return patch.object(GroupCanceller, "_cancel", hasty)


def the_cancel_is_not_repeated() -> AbstractContextManager[Any]:
    """A group's members are cancelled once: a later one, whose caller died, runs all the same."""
    return patch.object(group_cancel_job, "AGAIN_SECONDS", 1e9)


@contextmanager
def an_erased_member_without_a_mark() -> Iterator[None]:
    """Who erases a member tells its group nothing, and nobody looks for such members."""

    async def tell(_self: Ending, _head: Event) -> None:
        """Tell nothing."""

    with patch.object(Ending, "mark_in_group", tell), _no_look_for_missed_marks():
        yield


def _no_look_for_missed_marks() -> AbstractContextManager[Any]:
    """The rescuer would find the member, and hide the bug."""

    async def missed(_self: GroupEnding, _group: Event, _total: int) -> list[tuple[int, Event]]:
        return []

    return patch.object(GroupEnding, "missed", missed)


def a_second_completion() -> AbstractContextManager[Any]:
    """The writer that sees all marks ends the group, though another has ended it."""
    judge = GroupEnding.judge

    async def blind(self: GroupEnding, group: Event, request: JobRequest) -> Event | None:
        ended = await judge(self, group, request)
        newest = await self._trail.newest(group.job_id)
        if ended is not None or newest is None or newest.after.state is not State.COMPLETED:
            return ended
        open_again = replace(newest, after=replace(newest.after, state=State.WAITING))
        from jobfleet_protocol.trail.transitions import change_of

        event = drafted(open_again, newest.facts, change_of(newest), occurred_at=self._clock.now())
        return event if await self._writer.append([event]) is None else None

    return patch.object(GroupEnding, "judge", blind)


def _no_look_by_the_rescuer() -> AbstractContextManager[Any]:
    """The rescuer would end such a group half a minute later, and hide the bug."""
    pace_of = Rescuer._pace_of

    def trusting(self: Rescuer, row: OpenRow, fleet: Any) -> Any:
        is_group = row.facts.job_type == "group.wait" and row.state is State.WAITING
        return None if is_group else pace_of(self, row, fleet)

    return patch.object(Rescuer, "_pace_of", trusting)


_GROUPED = MANY_FAULTS | PLAIN | {"groups": 4, "jobs": 2, "workers": 4}
_GROUPED_IN_CALM = _GROUPED | {"fault_rate": 0.0, "stall_rate": 0.0, "operator_action_seconds": 1e9}
"""Without faults no sealer fails to look, so the rescuer, which these bugs keep out, is idle."""
_CANCELLED = _GROUPED | {"group_cancels": 1.0}
_GROUP_WAITS = "job 00000006-.* is waiting for ever"
_CHAINED = CRASHES | {"chains": 0.7, "fault_rate": 0.3}
OF_FLOWS = (
    Known(
        "open row removed though a successor was not submitted",
        callback_left_behind,
        44,
        _CHAINED,
        breaks=BugClass.FLOWS,
        shows="^successor",
    ),
    Known(
        "a repeated submit ends the open row before its successors",
        a_repeated_submit_ends_the_open_row,
        5,
        _CHAINED,
        breaks=BugClass.FLOWS,
        shows="^successor",
    ),
    Known(
        "a member's mark after its open row is gone",
        the_mark_after_the_open_row,
        273,
        _GROUPED | {"crash_rate": 0.02},
        breaks=BugClass.FLOWS,
        shows=_GROUP_WAITS,
    ),
    Known(
        "a member reads its block before it inserts its mark",
        read_before_the_insert,
        3,
        _GROUPED_IN_CALM,
        breaks=BugClass.FLOWS,
        shows=_GROUP_WAITS,
    ),
    Known(
        "the sealer does not look",
        the_sealer_does_not_look,
        5,
        _GROUPED,
        breaks=BugClass.FLOWS,
        shows=_GROUP_WAITS,
    ),
    Known(
        "a member reads the seal before it inserts its mark",
        the_seal_read_before_the_mark,
        2,
        _GROUPED_IN_CALM,
        breaks=BugClass.FLOWS,
        shows=_GROUP_WAITS,
    ),
    Known(
        "the cancel of a group without the job that cancels its members",
        the_cancel_without_its_job,
        1,
        _CANCELLED,
        breaks=BugClass.FLOWS,
        shows="a member of cancelled group",
    ),
    Known(
        "the cancel of a group stops at a member that has ended",
        the_cancel_stops_at_an_ended_member,
        1,
        _CANCELLED,
        breaks=BugClass.FLOWS,
        shows="a member of cancelled group",
    ),
    Known(
        "a late member of a cancelled group is not looked for again",
        the_cancel_is_not_repeated,
        1,
        _CANCELLED | {"left_behind": 1.0},
        breaks=BugClass.FLOWS,
        shows="a member of cancelled group",
    ),
    Known(
        "an erased member leaves no mark",
        an_erased_member_without_a_mark,
        1,
        _GROUPED | {"member_erasures": 0.7, "clock_steps": False, "crash_rate": 0.02},
        breaks=BugClass.FLOWS,
        shows=_GROUP_WAITS,
    ),
    Known(
        "a group completes twice",
        a_second_completion,
        303,
        _GROUPED,
        breaks=BugClass.FLOWS,
        shows="ended 2 times",
    ),
)
"""Faults of chains and groups."""
