"""Workers are killed while the members of a group run: the group ends once, after all of them."""

from __future__ import annotations

import asyncio
import signal
import sys

import pytest

from jobfleet_backends.system_clock import SystemClock
from jobfleet_contracts.errors import BackendUnavailable
from jobfleet_contracts.event import Event
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.state import State, Status
from jobfleet_protocol.actions.group_counts import member_id
from jobfleet_protocol.actions.groups import Groups, group_request
from jobfleet_protocol.actions.successors import successor_id
from jobfleet_protocol.actions.write_side import WriteSide
from tests.polling import eventually
from tests.servers import ON_EMBEDDED
from tests.system.fleet import Fleet, WorkerProcess
from tests.system.verified import assert_verified

AT_ONCE = 32
KILL_SECONDS = 1.5


@ON_EMBEDDED
async def test_a_group_ends_once_though_workers_are_killed(fleet: Fleet) -> None:
    await _ended_under_kills(fleet, members=250, most_kills=2, seconds=180)


@ON_EMBEDDED
@pytest.mark.chaos
async def test_ten_thousand_members_end_their_group_once_under_kills(fleet: Fleet) -> None:
    await _ended_under_kills(fleet, members=10_000, most_kills=10_000, seconds=3600)


async def _ended_under_kills(
    fleet: Fleet, *, members: int, most_kills: int, seconds: float
) -> None:
    groups = WriteSide.wire(
        backend=fleet.backend, clock=SystemClock(), defaults=fleet.settings.job_defaults
    ).groups
    for _ in range(2):
        fleet.start_worker()
    killing = asyncio.create_task(_kill_again_and_again(fleet, most_kills), name="kills")
    group = await _filled(groups, members)
    try:
        head = await _ended(fleet, group, seconds)
    finally:
        killing.cancel()
        await asyncio.gather(killing, return_exceptions=True)
    sys.stdout.write(f"{members} members, {len(fleet.workers) - 2} kills\n")
    assert head.after.state is State.COMPLETED, head.message
    assert [e.status for e in await fleet.history(group)] == ["Waiting", "Sealed", "Completed"]
    for index in range(members):
        end = await fleet.backend.trail.newest(member_id(group, index))
        assert end is not None
        assert end.kind is Status.COMPLETED, (index, end.status)
    await eventually(
        "the job after the group", lambda: _has_ended(fleet, successor_id(group, 0, 1))
    )
    await assert_verified(fleet.backend)


async def _filled(groups: Groups, members: int) -> str:
    """Submit as a client does: again where storage was too slow."""
    step = {"type": "demo.steps", "payload": {"steps": 1, "stepSeconds": 0}}
    opened = await groups.open(group_request({"jobName": "killed", "then": [step]}))
    request = JobRequest(type="demo.steps", payload=step["payload"])
    turns = asyncio.Semaphore(AT_ONCE)

    async def one(index: int) -> None:
        async with turns:
            while True:
                try:
                    await groups.add(opened.job_id, index, request)
                    return
                except BackendUnavailable:
                    continue

    await asyncio.gather(*map(one, range(members)))
    await groups.seal(opened.job_id, members)
    return opened.job_id


async def _kill_again_and_again(fleet: Fleet, most: int) -> None:
    """Kill the older of two workers once the other one works; start another one in its place."""
    for number in range(most):
        worker, other = fleet.workers[number], fleet.workers[number + 1]
        await eventually("another worker", lambda w=other: _works(w), seconds=300, every=0.1)  # type: ignore[misc]
        await asyncio.sleep(KILL_SECONDS)
        worker.signal(signal.SIGKILL)
        await asyncio.to_thread(worker.wait, 10)
        fleet.start_worker()


async def _works(worker: WorkerProcess) -> bool:
    return "worker.started" in worker.log


async def _ended(fleet: Fleet, group: str, seconds: float) -> Event:
    return await eventually(
        "the end of the group", lambda: _has_ended(fleet, group), seconds=seconds, every=0.1
    )


async def _has_ended(fleet: Fleet, job_id: str) -> Event | None:
    head = await fleet.backend.trail.newest(job_id)
    return head if head is not None and head.after.state.is_terminal else None
