"""Groups from programs: filled, sealed at the end of the block, opened again after a crash."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from jobfleet_contracts.backend import Backend
from jobfleet_contracts.errors import BackendUnavailable, BodyConflict
from jobfleet_contracts.state import State, Status
from jobfleet_publisher import Publisher, Then
from jobfleet_publisher.sync import Publisher as SyncPublisher
from tests.protocol.faulty_port import FaultyPort

pytestmark = pytest.mark.usefixtures("worker")


async def test_a_group_is_waited_for_and_its_results_are_handed_on(publisher: Publisher) -> None:
    step = Then(type="echo", results={"all": "members"})
    async with publisher.group("numbers", then=[step]) as group:
        for number in range(3):
            await group.submit("echo", number)
    result = await (await group.job()).wait(timeout=30)
    assert result.unwrap() == {"members": 3}


async def test_a_caller_that_failed_submits_the_same_members_again(publisher: Publisher) -> None:
    """The block that failed seals nothing; the next one with its key finds the same jobs."""

    async def fill(members: int) -> str:
        async with publisher.group("again", idempotency_key="numbers/1") as group:
            for number in range(members):
                await group.submit("echo", number)
            if members < 3:
                raise ConnectionError
        return group.group_id

    with pytest.raises(ConnectionError):
        await fill(2)
    group_id = await fill(3)
    assert (await (await publisher.job(group_id)).wait(timeout=30)).completed
    assert await fill(3) == group_id
    with pytest.raises(BodyConflict):
        async with publisher.group("again", idempotency_key="numbers/1") as group:
            await group.submit("echo", "another")


async def test_a_member_without_an_answer_keeps_its_group_unsealed(
    publisher: Publisher, backend: Backend
) -> None:
    opened: Any = publisher._opened
    openings = FaultyPort(backend.openings)
    opening = publisher.group("unclear")
    group = await opening.__aenter__()
    await group.submit("echo", 0)
    opened.writes.groups._submitter._openings = openings
    openings.lose_request("write", times=3)
    with pytest.raises(BackendUnavailable):
        await group.submit("echo", 1)
    with pytest.raises(BackendUnavailable, match="not sealed: member 1 got no answer"):
        await opening.__aexit__(None, None, None)
    head = await backend.trail.newest(group.group_id)
    assert head is not None
    assert (head.kind, head.after.state) == (Status.WAITING, State.WAITING)


async def test_a_group_is_filled_without_an_event_loop(tmp_path: Path) -> None:
    def fill() -> State:
        with SyncPublisher(data_dir=tmp_path) as publisher:
            with publisher.group("numbers", on_failure="hold") as group:
                for number in range(2):
                    group.submit("echo", number)
            return group.job().wait(timeout=30).state

    assert await asyncio.to_thread(fill) is State.COMPLETED
