"""How a group ends: marks that come late, members that were missed, cancels that meet."""

from __future__ import annotations

from functools import partial

import pytest

from jobfleet_contracts.event import Event
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.state import State
from jobfleet_protocol.actions import group_ending
from jobfleet_protocol.actions.group_counts import block_partition, member_id
from jobfleet_protocol.actions.group_ending import GroupEnding
from jobfleet_protocol.actions.groups import group_request
from jobfleet_protocol.actions.submission import request_of
from tests.protocol.bench import Bench


@pytest.fixture
def ending(bench: Bench) -> GroupEnding:
    return GroupEnding(
        trail=bench.trail, marks=bench.real.marks, writer=bench.writes.writer, clock=bench.clock
    )


async def a_group(bench: Bench, members: int = 0) -> Event:
    groups = bench.writes.groups
    group = (await groups.open(group_request({"jobName": "imports"}))).job_id
    for index in range(members):
        await groups.add(group, index, JobRequest(type="x"))
    return await bench.head(group)


async def member_that_ended(bench: Bench, group: str, index: int) -> Event:
    """End a member without writing its mark."""
    stored = request_of(await bench.first(member_id(group, index)))
    return await bench.end(await bench.claimed(stored))


async def test_a_group_that_is_not_sealed_is_not_judged(bench: Bench, ending: GroupEnding) -> None:
    group = await a_group(bench)
    assert await ending.judge(group, request_of(await bench.first(group.job_id))) is None
    assert (await bench.head(group.job_id)).sequence == group.sequence


async def test_a_mark_that_comes_after_the_end_changes_nothing(
    bench: Bench, ending: GroupEnding
) -> None:
    group = (await a_group(bench, members=1)).job_id
    head = await member_that_ended(bench, group, 0)
    marked = await ending.mark(head, 0, group)
    assert marked is not None
    assert not marked.is_full
    assert await bench.writes.groups.seal(group, 1) is State.COMPLETED
    assert await ending.mark(head, 0, group) is None
    assert await bench.real.marks.read(block_partition(group, 0)) == {"0~1": "completed"}


async def test_members_that_were_missed_are_sought_some_at_a_time(
    bench: Bench, ending: GroupEnding, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_ending, "MISSED_AT_ONCE", 2)
    group = await a_group(bench, members=3)
    for index in (0, 2):
        await member_that_ended(bench, group.job_id, index)
    looks = [[index for index, _ in await ending.missed(group, 3)] for _ in range(3)]
    assert looks == [[0], [2], [0]]


async def test_cancels_that_meet_ask_once_and_none_is_asked_of_a_group_that_ended(
    bench: Bench, ending: GroupEnding
) -> None:
    group = await a_group(bench)
    bench.trail.before("insert", partial(ending.request_cancel, group, "member 1 failed"))
    found = await ending.request_cancel(group, "member 0 failed")
    assert found == await bench.head(group.job_id)
    assert found.message == "member 1 failed: the other members are cancelled"
    assert await ending.request_cancel(found, "member 2 failed") == found
    statuses = await bench.statuses(group.job_id)
    assert statuses.count("CancelRequested") == 1
    other = await a_group(bench)
    bench.trail.before("insert", partial(bench.writes.groups.seal, other.job_id, 0))
    assert await ending.request_cancel(other, "member 0 failed") is None
    assert (await bench.head(other.job_id)).after.state is State.COMPLETED
