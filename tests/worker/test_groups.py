"""Groups end once, when their members have ended, whichever process saw it last."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from jobfleet_contracts.errors import ActionRefused, BackendUnavailable, BodyConflict
from jobfleet_contracts.event import Event
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.state import State, Status
from jobfleet_protocol.actions import successors
from jobfleet_protocol.actions.erasure import Eraser
from jobfleet_protocol.actions.group_cancel_job import group_cancel_id
from jobfleet_protocol.actions.group_cancellation import GroupCanceller
from jobfleet_protocol.actions.group_counts import member_id
from jobfleet_protocol.actions.groups import Groups, group_request
from jobfleet_protocol.actions.submission import request_of
from jobfleet_protocol.actions.successors import successor_id
from jobfleet_protocol.actions.write_side import WriteSide
from jobfleet_protocol.reading.group_reader import GroupReader
from jobfleet_protocol.trail.tombstone import seal_of, tombstone_of, tombstone_under
from jobfleet_protocol.trail.transitions import Change, draft
from jobfleet_worker import Fail, handler
from tests.protocol.steered_clock import SteeredClock
from tests.worker.workshop import DEFAULTS, Workshop

handed: list[Any] = []
refused: set[int] = set()


@pytest.fixture(autouse=True)
def nothing_handed() -> None:
    handed.clear()
    refused.clear()


@handler("square")
async def square(payload: int) -> int:
    if payload in refused:
        raise Fail("refused")
    return payload * payload


@handler("gather")
async def gather(payload: dict[str, Any]) -> None:
    handed.append(payload)


@pytest.fixture
def groups(workshop: Workshop) -> Groups:
    return WriteSide.wire(backend=workshop.real, clock=workshop.clock, defaults=DEFAULTS).groups


async def opened(groups: Groups, **options: Any) -> str:
    step = {"type": "gather", "when": "always", "results": {"all": "members", "sum": "previous"}}
    fields = {"jobName": "squares", "then": [step]}
    return (await groups.open(group_request(fields, **options))).job_id


async def fill(groups: Groups, group: str, total: int, *, first: int = 0) -> None:
    for index in range(first, total):
        await groups.add(group, index, JobRequest(type="square", payload=index))


async def ended(workshop: Workshop, group: str) -> Event:
    head = await workshop.until_ended(group)
    await workshop.until_state(successor_id(group, 0, 1), State.COMPLETED)
    return head


@pytest.mark.parametrize("total", [0, 1, 100, 230])
async def test_a_group_ends_with_its_last_member_and_hands_on_all_results(
    workshop: Workshop, groups: Groups, total: int
) -> None:
    workshop.start_worker(square, gather)
    group = await opened(groups)
    await fill(groups, group, total)
    await groups.seal(group, total)
    head = await ended(workshop, group)
    assert (head.after.state, head.data["group"]["total"]) == (State.COMPLETED, total)
    assert handed == [{"all": [i * i for i in range(total)], "sum": {"members": total}}]
    assert (await workshop.statuses(group)).count("Completed") == 1


async def test_results_of_members_beyond_a_workers_memory_are_not_all_read(
    workshop: Workshop, groups: Groups, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(successors, "MOST_RESULT_BYTES", 20)
    workshop.start_worker(square, gather)
    group = await opened(groups)
    await fill(groups, group, 100)
    await groups.seal(group, 100)
    ending = await workshop.until_ended(successor_id(group, 0, 1))
    assert (ending.after.state, handed) == (State.FAILED, [])
    assert ending.data["error"]["type"] == "ResultsTooLarge"
    read: list[str] = []

    async def seen(job_id: str, **page: Any) -> Any:
        read.append(job_id)
        return await history(job_id, **page)

    history = workshop.real.trail.history
    monkeypatch.setattr(workshop.real.trail, "history", seen)
    opening = await workshop.real.trail.read(ending.job_id, 1)
    assert opening is not None
    with pytest.raises(successors.ResultsTooLarge):
        await successors.with_results(
            request_of(opening), trail=workshop.real.trail, payloads=workshop.real.payloads
        )
    assert len(set(read)) <= 1 + 2 * successors.READS_AT_ONCE


async def test_a_group_whose_members_ended_before_its_seal_ends_at_it(
    workshop: Workshop, groups: Groups
) -> None:
    """Nobody else looks again: the sealer must."""
    workshop.start_worker(square, gather)
    group = await opened(groups)
    await fill(groups, group, 3)
    for index in range(3):
        await workshop.until_ended(member_id(group, index))
    assert await groups.seal(group, 3) is State.COMPLETED
    await ended(workshop, group)


async def test_a_member_that_fails_fails_the_group_which_goes_on_to_the_end(
    workshop: Workshop, groups: Groups
) -> None:
    refused.add(1)
    workshop.start_worker(square, gather)
    group = await opened(groups)
    await fill(groups, group, 3)
    await groups.seal(group, 3)
    head = await ended(workshop, group)
    assert (head.after.state, head.message) == (State.FAILED, "1 of 3 members did not complete")
    assert head.data["group"]["states"] == {"completed": 2, "failed": 1}
    assert handed == [{"all": [0, None, 4], "sum": None}]


async def test_a_group_on_hold_waits_until_a_failed_member_is_redriven(
    workshop: Workshop, groups: Groups
) -> None:
    refused.add(1)
    workshop.start_worker(square, gather)
    group = await opened(groups, on_failure="hold")
    await fill(groups, group, 3)
    await groups.seal(group, 3)
    for index in range(3):
        await workshop.until_ended(member_id(group, index))
    reader = GroupReader(
        trail=workshop.real.trail, payloads=workshop.real.payloads, marks=workshop.real.marks
    )
    record = await reader.read(group)
    assert (record.job.newest.after.state, record.bad) == (State.WAITING, [1])
    refused.clear()
    await workshop.redriver.redrive(member_id(group, 1), by="test")
    head = await ended(workshop, group)
    assert (head.after.state, head.data["group"]["incarnations"]) == (State.COMPLETED, {"1": 2})
    assert handed == [{"all": [0, 1, 4], "sum": {"members": 3}}]


async def test_a_dismissed_member_lets_a_group_on_hold_end_as_failed(
    workshop: Workshop, groups: Groups
) -> None:
    refused.add(0)
    workshop.start_worker(square, gather)
    group = await opened(groups, on_failure="hold")
    await fill(groups, group, 2)
    await groups.seal(group, 2)
    await workshop.until_state(member_id(group, 0), State.FAILED)
    await workshop.redriver.dismiss(member_id(group, 0), by="test")
    head = await ended(workshop, group)
    assert head.after.state is State.FAILED
    assert head.data["group"]["states"] == {"completed": 1, "dismissed": 1}


async def test_a_group_may_be_a_cancelled_members_too(workshop: Workshop, groups: Groups) -> None:
    group = await opened(groups)
    await fill(groups, group, 1)
    await groups.seal(group, 1)
    await workshop.canceller.cancel(member_id(group, 0), by="test")
    assert (await workshop.until_ended(group)).after.state is State.FAILED


async def test_the_first_failure_cancels_the_others_and_the_group_ends_failed(
    workshop: Workshop, groups: Groups
) -> None:
    refused.add(1)
    group = await opened(groups, on_failure="cancel")
    for index in (0, 2, 3):  # nobody runs this type
        await groups.add(group, index, JobRequest(type="other", payload=index))
    await groups.add(group, 1, JobRequest(type="square", payload=1))
    await groups.seal(group, 4)
    workshop.start_worker(square, gather)
    head = await ended(workshop, group)
    assert (head.after.state, head.message) == (State.FAILED, "4 of 4 members did not complete")
    assert head.data["group"]["states"] == {"cancelled": 3, "failed": 1}
    job = await workshop.until_ended(group_cancel_id(group, 4))
    assert job.data["result"] == {"cancelled": 3}
    asked = await workshop.real.trail.read(group, 3)
    assert asked is not None
    assert asked.message == "member 1 failed: the other members are cancelled"


async def test_a_cancelled_group_ends_with_its_members_and_later_ones_are_born_cancelled(
    workshop: Workshop, groups: Groups
) -> None:
    group = await opened(groups, on_failure="hold")
    await groups.add(group, 0, JobRequest(type="other"))
    assert await workshop.canceller.cancel(group, by="ann", reason="wrong file") is State.WAITING
    late = await groups.add(group, 1, JobRequest(type="other"))
    assert late.state is State.CANCELLED
    assert await workshop.canceller.cancel(group, by="ann") is State.WAITING
    await groups.seal(group, 2)
    workshop.start_worker(square, gather)
    head = await ended(workshop, group)
    assert head.after.state is State.CANCELLED
    assert (
        head.message
        == "cancel requested by ann, reason: wrong file; 2 of 2 members did not complete"
    )
    assert (await workshop.statuses(group)).count("CancelRequested") == 1


async def _add_and_die(
    groups: Groups, group: str, index: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A caller that inserts a member of a cancelled group and dies before it cancels it."""

    async def dies(*_: object) -> None:
        raise BackendUnavailable("gone")

    with monkeypatch.context() as patched:
        patched.setattr(GroupCanceller, "cancel_member", dies)
        with pytest.raises(BackendUnavailable):
            await groups.add(group, index, JobRequest(type="other"))


async def test_a_member_whose_caller_died_behind_the_cancel_of_its_group_is_cancelled_later(
    workshop: Workshop, groups: Groups, clock: SteeredClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    workshop.start_worker(square, gather)
    group = await opened(groups)
    await groups.add(group, 0, JobRequest(type="other"))
    await groups.seal(group, 2)
    await workshop.canceller.cancel(group, by="ann")
    await workshop.until_state(member_id(group, 0), State.CANCELLED)
    await workshop.until_ended(group_cancel_id(group, 2))
    await _add_and_die(groups, group, 1, monkeypatch)
    clock.advance(65)
    await workshop.until_state(member_id(group, 1), State.CANCELLED)
    assert (await ended(workshop, group)).after.state is State.CANCELLED


async def test_who_adds_a_member_again_after_its_group_was_cancelled_cancels_it(
    workshop: Workshop, groups: Groups, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = (await groups.open(group_request({"jobName": "alone"}))).job_id
    await workshop.canceller.cancel(group, by="ann")
    await _add_and_die(groups, group, 0, monkeypatch)
    await workshop.append(group, Change(kind=Status.CANCELLED, message="it was never sealed"))
    again = await groups.add(group, 0, JobRequest(type="other"))
    assert again.state is State.CANCELLED


async def test_a_group_that_is_cancelled_and_never_sealed_ends_in_a_minute(
    workshop: Workshop, groups: Groups, clock: SteeredClock
) -> None:
    workshop.start_worker(square, gather)
    group = await opened(groups)
    await groups.add(group, 0, JobRequest(type="other"))
    await workshop.canceller.cancel(group, by="ann")
    await workshop.until_state(member_id(group, 0), State.CANCELLED)
    clock.advance(65)
    assert (await ended(workshop, group)).after.state is State.CANCELLED


async def test_members_are_cancelled_though_whoever_asked_died_before_the_job(
    workshop: Workshop, groups: Groups, clock: SteeredClock
) -> None:
    group = await opened(groups)
    await groups.add(group, 0, JobRequest(type="other"))
    await groups.seal(group, 1)
    head = await workshop.head(group)
    change = Change(kind=Status.CANCEL_REQUESTED, message="cancel requested by ann")
    event = draft(head, head.facts, change, occurred_at=clock.now())
    await workshop.real.trail.insert([event])
    workshop.start_worker(square, gather)
    clock.advance(60)
    assert (await ended(workshop, group)).after.state is State.CANCELLED


async def test_a_group_that_nobody_seals_fails_and_says_so(
    workshop: Workshop, groups: Groups, clock: SteeredClock
) -> None:
    """A member that is added late keeps it alive; then it is left alone."""
    workshop.start_worker(square, gather)
    group = await opened(groups, seal_seconds=400)
    clock.advance(300)
    await fill(groups, group, 1)
    assert await workshop.statuses(group) == ["Waiting", "Step 1"]
    clock.advance(300)
    await asyncio.sleep(0.5)  # several sweeps of the rescuer
    assert (await workshop.head(group)).after.state is State.WAITING
    clock.advance(200)
    head = await ended(workshop, group)
    assert (head.after.state, head.data["error"]["type"]) == (State.FAILED, "NotSealed")


async def test_a_sealed_group_takes_what_is_missing_and_nothing_more(
    workshop: Workshop, groups: Groups
) -> None:
    workshop.start_worker(square, gather)
    group = await opened(groups)
    await fill(groups, group, 2)
    await groups.seal(group, 3)
    await groups.seal(group, 3)
    with pytest.raises(ActionRefused, match="sealed with 3 members, not 4"):
        await groups.seal(group, 4)
    with pytest.raises(ActionRefused, match="sealed with 3 members; open another one"):
        await fill(groups, group, 4, first=3)
    await fill(groups, group, 3)
    await ended(workshop, group)
    await fill(groups, group, 3)
    with pytest.raises(BodyConflict):
        await groups.add(group, 0, JobRequest(type="square", payload=7))
    with pytest.raises(ActionRefused, match="completed already"):
        await groups.add(group, 3, JobRequest(type="square", payload=3))


async def test_the_rescuer_ends_a_group_whose_marks_came_too_late_for_its_members(
    workshop: Workshop, groups: Groups, clock: SteeredClock
) -> None:
    """As after a crash between the last mark and the look at the root."""
    workshop.start_worker(square, gather)
    group = await opened(groups)
    await fill(groups, group, 1)
    workshop.marks.lose_request("read", times=2)
    await groups.seal(group, 1)
    clock.advance(60)
    await ended(workshop, group)
    assert (await workshop.statuses(group)).count("Completed") == 1


async def test_a_group_that_is_a_member_counts_when_its_own_members_have_ended(
    workshop: Workshop, groups: Groups
) -> None:
    refused.add(1)
    workshop.start_worker(square, gather)
    outer = await opened(groups)
    await groups.add(outer, 0, JobRequest(type="square", payload=2))
    inner = (await groups.open_member(outer, 1, group_request({"jobName": "inner"}))).job_id
    assert inner == member_id(outer, 1)
    await groups.seal(outer, 2)
    await fill(groups, inner, 2)
    await workshop.until_ended(member_id(inner, 1))
    assert (await workshop.head(outer)).after.state is State.WAITING
    await groups.seal(inner, 2)
    head = await ended(workshop, outer)
    assert head.data["group"]["states"] == {"completed": 1, "failed": 1}
    assert (await workshop.head(inner)).after.state is State.FAILED
    with pytest.raises(ActionRefused, match="failed already"):
        await groups.open_member(outer, 2, group_request({"jobName": "late"}))


async def test_a_cancel_reaches_the_members_of_a_group_in_a_group(
    workshop: Workshop, groups: Groups
) -> None:
    """A cancelled group cannot be redriven, so it does not hold the group that it belongs to."""
    workshop.start_worker(square, gather)
    outer = await opened(groups, on_failure="hold")
    inner = (await groups.open_member(outer, 0, group_request({"jobName": "inner"}))).job_id
    await groups.add(inner, 0, JobRequest(type="other"))
    await groups.seal(inner, 1)
    await groups.seal(outer, 1)
    await workshop.canceller.cancel(inner, by="ann")
    assert (await workshop.until_ended(member_id(inner, 0))).after.state is State.CANCELLED
    head = await ended(workshop, outer)
    assert (head.after.state, head.data["group"]["states"]) == (State.FAILED, {"dismissed": 1})


async def test_an_erased_member_does_not_hold_its_group(workshop: Workshop, groups: Groups) -> None:
    refused.add(0)
    workshop.start_worker(square, gather)
    group = await opened(groups, on_failure="hold")
    await fill(groups, group, 2)
    await groups.seal(group, 2)
    await workshop.until_state(member_id(group, 0), State.FAILED)
    await eraser_of(workshop).erase(member_id(group, 0), by="ann", reason="asked for")
    head = await ended(workshop, group)
    assert head.data["group"]["states"] == {"completed": 1, "dismissed": 1}


@pytest.mark.parametrize("gone", ["erased", "removed"])
async def test_a_member_that_cannot_tell_its_group_any_more_is_found(
    workshop: Workshop, groups: Groups, clock: SteeredClock, gone: str
) -> None:
    """As where the mark was lost, and with the member's values what names its group."""
    group, real = await opened(groups), workshop.real
    await fill(groups, group, 1)
    await groups.seal(group, 1)
    member = member_id(group, 0)
    head = await workshop.head(member)
    change = Change(kind=Status.CANCELLED, message="cancelled")
    ending = draft(head, head.facts, change, occurred_at=clock.now())
    await real.trail.insert([ending])
    await real.index.close(member, 1)
    assert real.retention is not None
    if gone == "erased":
        erased = Change(kind=Status.ERASED, message="values erased")
        facts = replace(head.facts, job_name=head.facts.job_type)
        await real.trail.insert([draft(ending, facts, erased, occurred_at=clock.now())])
        await real.retention.erase(member, last=2)
    else:
        tombstone = tombstone_of(ending, ending, digest=None, message="removed")
        await real.trail.insert([seal_of(tombstone, head=ending)])
        seal = await workshop.head(member)
        await real.retention.forget(tombstone_under(seal), last=seal.sequence)
    workshop.start_worker(square, gather)
    clock.advance(60)
    head = await workshop.until_ended(group)
    assert head.data["group"]["states"] == {"dismissed": 1}


def eraser_of(workshop: Workshop) -> Eraser:
    return WriteSide.wire(backend=workshop.real, clock=workshop.clock, defaults=DEFAULTS).eraser
