"""Rule 14 on marks: each says how its member ended, and a group that ended has all of them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import pytest

from jobfleet_contracts.job import JobRequest
from jobfleet_protocol.actions.group_counts import block_partition, member_id
from jobfleet_protocol.actions.groups import group_request
from jobfleet_protocol.audit.flow_ledger import FlowLedger, read_marks
from tests.protocol.bench import Bench
from tests.protocol.broken_flows import FIRST, GROUP, whole_flows

MARKS = {"0~1": "completed", "1~1": "failed"}


def ledger_with(marks: Mapping[str, str], *, missing: int | None = None) -> FlowLedger:
    ledger = FlowLedger()
    for place, history in enumerate(whole_flows()):
        if place != missing:
            ledger.add(history)
    ledger.add_marks(GROUP, marks)
    return ledger


def test_marks_that_say_how_members_ended_break_nothing() -> None:
    ledger = ledger_with(MARKS)
    assert ledger.groups() == [GROUP]
    assert ledger.last_place(GROUP) == 1
    assert [*ledger.violations()] == []


@pytest.mark.parametrize(
    ("marks", "message", "again"),
    [
        (
            MARKS | {"1~1": "completed"},
            "the mark of member 1 says completed, and its trail does not",
            {GROUP, member_id(GROUP, 1)},
        ),
        (
            MARKS | {"1~2": "failed"},
            "the mark of member 1 says failed, and its trail does not",
            {GROUP, member_id(GROUP, 1)},
        ),
        ({"1~1": "failed"}, "member 0 has no mark, and the group has ended", {GROUP}),
    ],
)
def test_a_wrong_or_missing_mark_is_named_and_read_again(
    marks: dict[str, str], message: str, again: set[str]
) -> None:
    ledger = ledger_with(marks)
    (found,) = ledger.violations()
    assert (found.rule, found.job_id, found.message) == (14, GROUP, message)
    assert set(ledger.doubtful()) == again


def test_what_was_written_a_moment_ago_may_be_on_its_way() -> None:
    ledger = ledger_with(MARKS, missing=1)  # the successor of the first job
    (found,) = ledger.violations()
    assert (found.rule, found.job_id) == (13, FIRST)
    ended_at = whole_flows()[0][-1].occurred_at
    assert [*ledger.violations(settled_before=ended_at)] == []
    assert [*ledger.violations(settled_before=ended_at + timedelta(hours=1))] == [found]


async def test_the_marks_of_a_living_group_agree_with_its_members(bench: Bench) -> None:
    groups = bench.writes.groups
    group = (await groups.open(group_request({"jobName": "imports"}))).job_id
    for index in range(2):
        await groups.add(group, index, JobRequest(type="x"))
    await bench.canceller.cancel(member_id(group, 1), by="ops")
    assert await bench.real.marks.read(block_partition(group, 0)) == {"1~1": "cancelled"}
    ledger = FlowLedger()
    async for history in bench.real.trail.scan():
        ledger.add(history)
    assert ledger.last_place(group) == 1
    await read_marks(ledger, bench.real.marks)
    assert [*ledger.violations()] == []
    assert ledger.doubtful() == []
