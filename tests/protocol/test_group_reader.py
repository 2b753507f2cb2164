"""A group as pages show it: counts, members by place or state, and what cannot be told."""

from __future__ import annotations

from typing import Any

import pytest

from jobfleet_contracts.errors import ActionRefused, InvalidRequest, UnknownJob
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.job_id import new_id
from jobfleet_protocol.actions.group_counts import member_id
from jobfleet_protocol.actions.groups import group_request
from jobfleet_protocol.reading.group_reader import GroupReader
from jobfleet_protocol.reading.group_record import MemberRecord
from tests.protocol.bench import Bench

STATES = ("completed", "failed", "cancelled", "open", "completed")


@pytest.fixture
def reader(bench: Bench) -> GroupReader:
    real = bench.real
    return GroupReader(trail=real.trail, payloads=real.payloads, marks=real.marks)


async def a_group(bench: Bench, **options: Any) -> str:
    """Open a group whose five members end as ``STATES`` say."""
    groups = bench.writes.groups
    group = (await groups.open(group_request({"jobName": "imports"}, **options))).job_id
    for index, state in enumerate(STATES):
        await groups.add(group, index, request := JobRequest(type="x", payload=index))
        job_id = member_id(group, index)
        if state == "cancelled":
            await bench.canceller.cancel(job_id, by="ops")
        elif state != "open":
            stored = request.model_copy(update={"job_id": job_id})
            head = await bench.end(await bench.claimed(stored), state.capitalize())
            await bench.writes.ending.conclude(head)
    return group


async def pages(reader: GroupReader, group: str, **asked: Any) -> list[list[MemberRecord]]:
    found: list[list[MemberRecord]] = []
    cursor = None
    while True:
        page = await reader.members(group, cursor=cursor, **asked)
        found.append([*page.items])
        cursor = page.next
        if cursor is None:
            return found


async def test_a_group_tells_how_its_members_ended_before_and_after_its_seal(
    bench: Bench, reader: GroupReader
) -> None:
    group = await a_group(bench, on_failure="hold")
    counted = {"completed": 2, "failed": 1, "cancelled": 1}
    for total in (None, 6):
        if total is not None:
            await bench.writes.groups.seal(group, total)
        shown = (await reader.read(group)).to_json()
        assert (shown["total"], shown["ended"], shown["states"]) == (total, 4, counted)
        assert [bad["index"] for bad in shown["bad"]] == [1, 2]
        assert (shown["actions"], shown["onFailure"]) == (["cancel", "redrive"], "hold")
        assert len((await reader.read(group, most_bad=1)).bad) == 1


async def test_members_come_by_place_or_by_state_page_by_page(
    bench: Bench, reader: GroupReader
) -> None:
    group = await a_group(bench)
    for sealed in (False, True):
        if sealed:
            await bench.writes.groups.seal(group, 6)
        places = [[m.index for m in page] for page in await pages(reader, group, limit=2)]
        assert places == ([[0, 1], [2, 3], [4, 5]] if sealed else [[0, 1], [2, 3], [4]])
        for state, expected in (
            ("completed", [[0], [4]]),
            ("failed", [[1]]),
            ("dismissed", [[]]),
            ("open", [[3], [5]] if sealed else [[3]]),
        ):
            found = await pages(reader, group, state=state, limit=1)
            assert [[m.index for m in page] for page in found] == expected, (sealed, state)
    missing = (await reader.members(group, cursor="5")).items[0].to_json()
    assert (missing["message"], missing["state"]) == ("not submitted yet", None)
    first = (await reader.members(group, limit=1)).items[0].to_json()
    assert (first["index"], first["state"], first["counted"]) == (0, "completed", "completed")


async def test_what_is_no_group_no_state_and_no_cursor_is_refused(
    bench: Bench, reader: GroupReader
) -> None:
    group = await a_group(bench)
    with pytest.raises(InvalidRequest, match="state: must be one of"):
        await reader.members(group, state="lost")
    with pytest.raises(InvalidRequest, match="cursor"):
        await reader.members(group, cursor="x")
    with pytest.raises(UnknownJob):
        await reader.read(new_id())
    with pytest.raises(ActionRefused):
        await reader.members((await bench.submit()).job_id)
