"""Chains and groups whose workers died at the worst moment go on after a rebuild, and after a move.

Each case leaves something undone that an ended job owes: a mark, a group's ending, a successor. The
index, which would tell the rescuer of it, is lost in both ways: a rebuild makes it anew, and a move
does not take it along.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from jobfleet_backends.settings import Settings
from jobfleet_cli.exit_code import ExitCode
from jobfleet_cli.move_export import MoveExport
from jobfleet_cli.move_import import MoveImport
from jobfleet_cli.trail_rebuild import rebuild_index
from jobfleet_contracts.errors import BackendUnavailable
from jobfleet_contracts.event import Event
from jobfleet_contracts.internal_job import GROUP_TYPE
from jobfleet_contracts.job import JobRequest
from jobfleet_protocol.actions.group_counts import marks_in, member_id
from jobfleet_protocol.actions.groups import group_request
from jobfleet_protocol.actions.submission import request_of
from jobfleet_protocol.actions.successors import successor_id
from jobfleet_protocol.moving import move_in, move_out
from jobfleet_worker import handler
from tests.protocol.bench import Bench
from tests.system.moved_fleet import Fleet, opened
from tests.worker.workshop import Workshop

MEMBERS = 2
THEN = [{"type": "x", "when": "always", "results": {"all": "members"}}]


@handler("x")
async def run(payload: Any) -> Any:
    """Return what the test looks for."""
    return payload


@pytest.fixture(autouse=True)
def _nobody_else_is_there() -> Iterator[None]:
    with (
        patch.object(move_out, "SETTLED_SECONDS", 0.0),
        patch.object(move_in, "SETTLED_SECONDS", 0.0),
        patch.object(move_out, "LOOK_SECONDS", 0.01),
    ):
        yield


async def ended(
    bench: Bench, job_id: str, status: str = "Completed", *, concluded: bool = True
) -> Event:
    """End a job; without ``told`` its worker dies before it does what follows."""
    request = request_of(await bench.first(job_id))
    head = await bench.end(await bench.claimed(request), status, data={"result": job_id})
    if concluded:
        await bench.writes.ending.conclude(head)
    else:  # the row that would tell the rescuer is lost with the index
        bench.real.index.close(job_id, head.after.incarnation)
    return head


async def group_of(bench: Bench, **options: Any) -> str:
    request = group_request({"jobName": "two", "then": THEN}, **options)
    group = (await bench.writes.groups.open(request)).job_id
    for index in range(MEMBERS):
        await bench.writes.groups.add(group, index, JobRequest(type="x", payload=index))
    return group


async def a_successor_is_missing(bench: Bench) -> list[str]:
    job = await bench.submit(then=[{"type": "x", "results": {"before": "previous"}}])
    await ended(bench, job.job_id, concluded=False)
    return [successor_id(job.job_id, 0, 1)]


async def a_redriven_job_owes_both_successors(bench: Bench) -> list[str]:
    steps = [{"type": "x", "when": "failure"}, {"type": "x"}]
    job = await bench.submit(then=steps)
    await ended(bench, job.job_id, "Failed", concluded=False)
    await bench.redriver.redrive(job.job_id, by="operator")
    await ended(bench, job.job_id, concluded=False)
    return [successor_id(job.job_id, 0, 1), successor_id(job.job_id, 1, 2)]


async def the_last_mark_is_missing(bench: Bench) -> list[str]:
    group = await group_of(bench)
    await bench.writes.groups.seal(group, MEMBERS)
    await ended(bench, member_id(group, 0))
    await ended(bench, member_id(group, 1), concluded=False)
    return [group, successor_id(group, 0, 1)]


async def the_group_was_not_ended(bench: Bench) -> list[str]:
    """All marks stand; the process that set the last one died before the group's last event."""
    group = await group_of(bench)
    heads = [
        await ended(bench, member_id(group, index), concluded=False) for index in range(MEMBERS)
    ]
    await bench.writes.groups.seal(group, MEMBERS)
    for head in heads:
        for mark in marks_in(await bench.history(head.job_id)):
            await bench.real.marks.insert(*mark)
    return [group, successor_id(group, 0, 1)]


async def the_groups_successor_is_missing(bench: Bench) -> list[str]:
    group = await group_of(bench)
    await bench.writes.groups.seal(group, MEMBERS)
    await ended(bench, member_id(group, 0))
    head = await ended(bench, member_id(group, 1), concluded=False)
    bench.index.lose_request("open")
    with pytest.raises(BackendUnavailable):
        await bench.writes.ending.conclude(head)
    bench.index.heal()
    assert (await bench.head(group)).status == "Completed"
    return [successor_id(group, 0, 1)]


async def an_open_group_goes_on(bench: Bench) -> list[str]:
    """One member has ended, one is queued, and the caller has not sealed yet."""
    group = await group_of(bench)
    await ended(bench, member_id(group, 0))
    return []


async def a_held_group_waits_for_its_member(bench: Bench) -> list[str]:
    group = await group_of(bench, on_failure="hold")
    await bench.writes.groups.seal(group, MEMBERS)
    await ended(bench, member_id(group, 0), "Failed")
    await ended(bench, member_id(group, 1))
    return []


async def a_cancelled_group_has_no_job_that_cancels(bench: Bench) -> list[str]:
    group = await group_of(bench, on_failure="cancel")
    await bench.writes.groups.seal(group, MEMBERS)
    await ended(bench, member_id(group, 0), "Failed", concluded=False)
    return []


async def a_group_in_a_group_owes_its_mark(bench: Bench) -> list[str]:
    outer = await bench.writes.groups.open(group_request({"jobName": "outer", "then": THEN}))
    inner = await bench.writes.groups.open_member(outer.job_id, 0, group_request({"jobName": "in"}))
    await bench.writes.groups.add(inner.job_id, 0, JobRequest(type="x"))
    await bench.writes.groups.seal(outer.job_id, 1)
    await bench.writes.groups.seal(inner.job_id, 1)
    await ended(bench, member_id(inner.job_id, 0), concluded=False)
    return [inner.job_id, outer.job_id, successor_id(outer.job_id, 0, 1)]


CASES = (
    a_successor_is_missing,
    a_redriven_job_owes_both_successors,
    the_last_mark_is_missing,
    the_group_was_not_ended,
    the_groups_successor_is_missing,
    an_open_group_goes_on,
    a_held_group_waits_for_its_member,
    a_cancelled_group_has_no_job_that_cancels,
    a_group_in_a_group_owes_its_mark,
)


async def populated(bench: Bench) -> tuple[list[str], dict[str, str]]:
    """Make all cases; returns what must stand at once, and the groups that are open by case."""
    owed: list[str] = []
    opened_groups: dict[str, str] = {}
    for make in CASES:
        before = {row.facts.job_id for row in await bench.open_rows()}
        owed += await make(bench)
        for row in await bench.open_rows():
            if row.facts.job_type == GROUP_TYPE and row.facts.job_id not in before:
                opened_groups[make.__name__] = row.facts.job_id
    assert not all([await bench.real.trail.newest(job_id) for job_id in owed])
    return owed, opened_groups


async def stands(bench: Bench, owed: list[str]) -> None:
    """Look for what the ended jobs owed: groups have ended, successors are submitted."""
    for job_id in owed:
        head = await bench.real.trail.newest(job_id)
        assert head is not None
        is_group = head.facts.job_type == GROUP_TYPE
        assert head.status == ("Completed" if is_group else "Queued"), job_id


async def ends(fleet: Fleet, opened_groups: dict[str, str]) -> None:
    """Let a worker run what is left, and see each group end once with one successor."""
    bench = fleet.bench
    held = opened_groups[a_held_group_waits_for_its_member.__name__]
    growing = opened_groups[an_open_group_goes_on.__name__]
    cancelled = opened_groups[a_cancelled_group_has_no_job_that_cancels.__name__]
    workshop = Workshop(bench.real, bench.clock)
    workshop.start_worker(run)
    try:
        groups = bench.writes.groups
        await groups.add(growing, MEMBERS, JobRequest(type="x", payload="late"))
        await groups.seal(growing, MEMBERS + 1)
        assert (await bench.head(held)).status == "Sealed"
        await bench.redriver.redrive(member_id(held, 0), by="operator")
        for group, state in ((growing, "completed"), (held, "completed"), (cancelled, "failed")):
            head = await workshop.until_ended(group)
            assert head.after.state.value == state
            assert (await workshop.until_ended(successor_id(group, 0, 1))).status == "Completed"
        async for history in bench.real.trail.scan():
            if history[-1].facts.job_type == GROUP_TYPE:
                endings = [e for e in history if e.after.state.is_terminal]
                assert len(endings) == 1
    finally:
        await workshop.close()
    await bench.verify()


async def test_a_rebuild_does_what_ended_jobs_owe_and_repeated_does_nothing(tmp_path: Path) -> None:
    async with opened(Settings(backend="embedded", data_dir=tmp_path)) as fleet:
        owed, opened_groups = await populated(fleet.bench)
        assert await rebuild_index(fleet.session) is ExitCode.DONE
        await stands(fleet.bench, owed)
        before = await fleet.histories()
        assert await rebuild_index(fleet.session) is ExitCode.DONE
        assert await fleet.histories() == before
        await ends(fleet, opened_groups)


async def test_a_move_takes_members_marks_and_successors_along(tmp_path: Path) -> None:
    file, places = tmp_path / "fleet.jsonl", (tmp_path / "a", tmp_path / "b")
    here, there = (Settings(backend="embedded", data_dir=place) for place in places)
    async with opened(here) as source, opened(there) as target:
        owed, opened_groups = await populated(source.bench)
        export = MoveExport(out=file, reason="a larger house", wait_seconds=30)
        assert await export.run(source.session) is ExitCode.DONE
        assert await MoveImport(file=file).run(target.session) is ExitCode.DONE
        await stands(target.bench, owed)
        await ends(target, opened_groups)


async def test_a_rebuild_that_fails_leaves_the_row_of_a_job_that_owes_something(
    tmp_path: Path,
) -> None:
    async with opened(Settings(backend="embedded", data_dir=tmp_path)) as fleet:
        bench = fleet.bench
        job = await bench.submit(then=[{"type": "x"}])
        request = request_of(await bench.first(job.job_id))
        await bench.end(await bench.claimed(request))
        bench.index.lose_request("open")  # of the successor
        with pytest.raises(BackendUnavailable):
            await rebuild_index(fleet.session)
        assert [row.facts.job_id for row in await bench.open_rows()] == [job.job_id]
