"""Reads groups: where one stands by its log and its marks, and its members page by page."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TypeVar

from jobfleet_contracts.cursor import CursorForm
from jobfleet_contracts.errors import ActionRefused, DataMissing, InvalidRequest, UnknownJob
from jobfleet_contracts.event import Event
from jobfleet_contracts.group_marks import GroupMarks
from jobfleet_contracts.index import Page
from jobfleet_contracts.ports import AuditTrail, PayloadStore
from jobfleet_contracts.state import TERMINAL
from jobfleet_contracts.value_coder import NO_CODER, ValueCoder
from jobfleet_protocol.actions.group_counts import (
    DISMISSED,
    MOST_MEMBERS,
    Count,
    block_of,
    block_partition,
    blocks_of,
    is_bad,
    member_id,
    newest_counts,
    newest_marks,
    places_of,
    root_partition,
    size_of,
)
from jobfleet_protocol.actions.group_ending import on_failure_of, total_of
from jobfleet_protocol.actions.groups import group_head
from jobfleet_protocol.actions.submission import request_of
from jobfleet_protocol.reading.group_record import SHOWN_BAD, GroupRecord, MemberRecord
from jobfleet_protocol.reading.job_reader import JobReader, shown
from jobfleet_protocol.reading.masking_turns import in_turns, texts_of
from jobfleet_protocol.reading.readable_trail import ReadableTrail
from jobfleet_protocol.trail.large_data import resolve

OPEN = "open"
MEMBER_STATES = (OPEN, *sorted(state.value for state in TERMINAL), DISMISSED)
"""By which members can be listed: ``open`` ones have not ended."""
_AT_ONCE = 16
_CURSOR = CursorForm("([0-9]{1,6})")

T = TypeVar("T")
R = TypeVar("R")


class GroupReader:
    """Questions about one group. Counts of large groups may lag their newest marks by a moment."""

    def __init__(
        self,
        *,
        trail: AuditTrail,
        payloads: PayloadStore,
        marks: GroupMarks,
        coder: ValueCoder = NO_CODER,
    ) -> None:
        self._coder = coder
        self._jobs = JobReader(trail=trail, payloads=payloads, coder=coder)
        self._trail = ReadableTrail(trail)
        self._payloads = payloads
        self._marks = marks

    async def read(self, group_id: str, *, most_bad: int = SHOWN_BAD) -> GroupRecord:
        """Return where a group stands.

        Args:
            most_bad: how many members are named that did not complete.

        Raises:
            UnknownJob: there is no such group.
            ActionRefused: it is none, or a row that tells of it was edited or erased.
            BackendUnavailable: storage does not answer.
        """
        head = await self._head(group_id)
        try:
            return await self._record(head, most_bad)
        except ActionRefused:
            raise
        except (ValueError, KeyError, TypeError) as error:
            raise ActionRefused(_edited(group_id)) from error

    async def members(
        self, group_id: str, *, state: str | None = None, cursor: str | None = None, limit: int = 50
    ) -> Page[MemberRecord]:
        """Return a page of a group's members, in their order.

        Args:
            state: only members that count by it, one of :data:`MEMBER_STATES`.
            cursor: ``next`` of the page before.

        Raises:
            InvalidRequest: no such state, or no such cursor.
            UnknownJob, ActionRefused, BackendUnavailable: as :meth:`read`.
        """
        if state is not None and state not in MEMBER_STATES:
            message = f"state: must be one of {', '.join(MEMBER_STATES)}"
            raise InvalidRequest(message, field="state")
        first = 0 if cursor is None else int(_CURSOR.parts(cursor)[0])
        head = await self._head(group_id)
        try:
            total = await total_of(head, self._trail)
            if state is None:
                return await self._in_order(group_id, total, first, limit)
            return await self._chosen(group_id, total, state, first, limit)
        except (ActionRefused, InvalidRequest):
            raise
        except (ValueError, KeyError, TypeError) as error:
            raise ActionRefused(_edited(group_id)) from error

    async def held_by(self, group_id: str) -> int:
        """Return how many members keep a group open though all have ended; 0: it is not held.

        It costs at most six small reads, however many members there are.

        Raises:
            BackendUnavailable: storage does not answer.
        """
        try:
            head = await self._head(group_id)
            if head.after.state.is_terminal or head.after.cancel_requested:
                return 0
            total = await total_of(head, self._trail)
            counts = newest_counts(await self._marks.read(root_partition(group_id)))
            if total is None or any(block not in counts for block in blocks_of(total)):
                return 0
            bad = Count.sum(counts[block] for block in blocks_of(total)).bad
            opening = await self._trail.read(group_id, 1) if bad else None
            if opening is None:
                return 0
            request = request_of(await resolve(opening, self._payloads))
            return bad if on_failure_of(request) == "hold" else 0
        except (ActionRefused, UnknownJob, DataMissing, ValueError, KeyError, TypeError):
            return 0  # the group's own page says what cannot be read

    async def held(self, group_ids: Iterable[str]) -> dict[str, int]:
        """Return those of some groups that are held, each with :meth:`held_by`."""
        ids = list(group_ids)
        found = await _at_once(ids, self.held_by)
        return {group_id: bad for group_id, bad in zip(ids, found, strict=True) if bad}

    async def _head(self, group_id: str) -> Event:
        head = await self._trail.newest(group_id)
        if head is not None and not head.is_readable:
            raise ActionRefused(head.strangeness)
        return group_head(group_id, head)

    async def _record(self, head: Event, most_bad: int) -> GroupRecord:
        job = await self._jobs.read(head.job_id)
        if job.request is None:
            raise ActionRefused(_edited(head.job_id))
        total = await total_of(head, self._trail)
        counts = await self._counts(head.job_id, total)
        return GroupRecord(
            job=job,
            on_failure=on_failure_of(job.request),
            total=total,
            count=Count.sum(counts.values()),
            bad=await self._bad(head.job_id, counts, most_bad),
        )

    async def _counts(self, group_id: str, total: int | None) -> dict[int, Count]:
        """Return the count of each block; the root has those of full ones, so few are read."""
        counts = newest_counts(await self._marks.read(root_partition(group_id)))
        if total is not None:
            left = [block for block in blocks_of(total) if block not in counts]
            rows = await _at_once(left, lambda block: self._block(group_id, block))
            return counts | dict(zip(left, map(Count.of_marks, rows), strict=True))
        for block in blocks_of(MOST_MEMBERS):
            if block not in counts:
                rows_of_block = await self._block(group_id, block)
                if not rows_of_block:
                    break
                counts[block] = Count.of_marks(rows_of_block)
        return counts

    async def _bad(self, group_id: str, counts: Mapping[int, Count], most: int) -> list[int]:
        found: list[int] = []
        for block in sorted(block for block, count in counts.items() if count.bad):
            marks = newest_marks(await self._block(group_id, block))
            found += [index for index, (_, state) in sorted(marks.items()) if is_bad(state)]
            if len(found) >= most:
                break
        return found[:most]

    async def _in_order(
        self, group_id: str, total: int | None, first: int, limit: int
    ) -> Page[MemberRecord]:
        """Return members by their places; a group that is not sealed may lack some."""
        end = MOST_MEMBERS if total is None else total
        places = range(first, min(first + limit, end))
        found = await self._records(group_id, places)
        if total is None:
            found = [one for one in found if one.newest is not None]
        is_over = places.stop == end or len(found) < len(places)
        return Page(found, None if is_over else str(places.stop))

    async def _chosen(
        self, group_id: str, total: int | None, state: str, first: int, limit: int
    ) -> Page[MemberRecord]:
        """Return members that count by one state; blocks without such a member cost nothing."""
        counts = await self._counts(group_id, total)
        found: list[MemberRecord] = []
        for block in blocks_of(MOST_MEMBERS if total is None else total):
            if block < block_of(first) or not _may_hold(state, block, counts, total):
                continue
            marks = newest_marks(await self._block(group_id, block))
            places = [i for i in places_of(block, total) if marks.get(i, (0, OPEN))[1] == state]
            records = await self._records(group_id, [i for i in places if i >= first])
            there = [one for one in records if one.newest is not None or total is not None]
            found += there
            is_end = total is None and block not in counts and not there
            if len(found) > limit or is_end:
                break
        following = str(found[limit].index) if len(found) > limit else None
        return Page(found[:limit], following)

    async def _records(self, group_id: str, places: Sequence[int]) -> list[MemberRecord]:
        blocks = sorted({block_of(index) for index in places})
        rows = await _at_once(blocks, lambda block: self._block(group_id, block))
        marks = {index: how for block in rows for index, (_, how) in newest_marks(block).items()}
        ids = [member_id(group_id, index) for index in places]
        heads = await _at_once(ids, self._trail.newest)
        there = {job_id: head for job_id, head in zip(ids, heads, strict=True) if head is not None}
        events = await in_turns(partial(shown, coder=self._coder), [*there.values()], texts_of)
        newest = dict(zip(there, events, strict=True))
        return [
            MemberRecord(
                index=index,
                job_id=job_id,
                newest=newest.get(job_id),
                counted=marks.get(index),
            )
            for index, job_id in zip(places, ids, strict=True)
        ]

    async def _block(self, group_id: str, block: int) -> Mapping[str, str]:
        return await self._marks.read(block_partition(group_id, block))


def _may_hold(state: str, block: int, counts: Mapping[int, Count], total: int | None) -> bool:
    count = counts.get(block, Count())
    if state == OPEN:
        return count.members < size_of(block, total)
    return count.states[state] > 0


async def _at_once(items: Iterable[T], work: Callable[[T], Awaitable[R]]) -> list[R]:
    turns = asyncio.Semaphore(_AT_ONCE)

    async def one(item: T) -> R:
        async with turns:
            return await work(item)

    return list(await asyncio.gather(*map(one, items)))


def _edited(group_id: str) -> str:
    return f"group {group_id}: what tells of it was edited or erased"
