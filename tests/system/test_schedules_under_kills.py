"""The worker that ticks is killed again and again: each tick has one job, and none is missing."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import Sequence
from datetime import timedelta
from itertools import pairwise

import pytest

from jobfleet_backends.system_clock import SystemClock
from jobfleet_contracts.codec import parse_time
from jobfleet_contracts.control import ControlEntry, ControlKind, ControlSubject
from jobfleet_contracts.schedule import Schedule
from jobfleet_protocol.actions.write_side import WriteSide
from jobfleet_protocol.audit.control_check import check_control_log
from jobfleet_protocol.control.schedule_state import tick_job_id
from jobfleet_protocol.control.schedules import Schedules
from tests.polling import eventually
from tests.servers import ON_AZURE
from tests.system.fleet import LEASE_SECONDS, Fleet, WorkerProcess
from tests.system.verified import assert_verified

NAME = "often"
EVERY = timedelta(seconds=2)
TICKS_AFTER_A_KILL = 2 * LEASE_SECONDS + 30
"""Seconds within which another worker leads and fires, on a busy machine too."""


@ON_AZURE
async def test_no_tick_is_lost_or_doubled_when_the_ticking_worker_is_killed(fleet: Fleet) -> None:
    await _ticked_under_kills(fleet, kills=2, seconds=0)


@pytest.mark.chaos
async def test_no_tick_is_lost_or_doubled_in_a_minute_of_kills(fleet: Fleet) -> None:
    await _ticked_under_kills(fleet, kills=4, seconds=60)


async def _ticked_under_kills(fleet: Fleet, *, kills: int, seconds: float) -> None:
    """Kill at least so often and for so long; then hold the log against the trail."""
    schedules = _schedules(fleet)
    for _ in range(3):
        fleet.start_worker()
    often = Schedule(
        name=NAME,
        type="demo.steps",
        every=EVERY,
        payload={"steps": 1, "stepSeconds": 0},
        overlap="allow",
        catch_up="all",
    )
    await schedules.declare(often, by="test")
    until, done = time.monotonic() + seconds, 0
    while done < kills or time.monotonic() < until:
        await _kill_the_ticking_one(fleet)
        fleet.start_worker()
        done += 1
    await _another_tick(fleet)
    await schedules.pause(NAME, by="test")
    log = await _log(fleet)
    fired = [entry for entry in log if entry.kind is ControlKind.FIRED]
    sys.stdout.write(f"{done} kills, {len(fired)} ticks, {_latest(fired):.1f} s the latest\n")
    assert [entry.kind for entry in log if entry.kind is ControlKind.SKIPPED] == []
    ticks = [parse_time(entry.details["tick"]) for entry in fired]
    assert len(ticks) > done
    assert {later - earlier for earlier, later in pairwise(ticks)} == {EVERY}
    assert check_control_log(log) == []
    await _each_tick_has_its_job(fleet, fired)
    await assert_verified(fleet.backend)


async def _kill_the_ticking_one(fleet: Fleet) -> None:
    """Kill it as soon as it has written a tick: often the job of that tick does not stand yet."""
    await _another_tick(fleet)
    leader = _leader(fleet)
    leader.signal(signal.SIGKILL)
    await asyncio.to_thread(leader.wait, 10)


async def _another_tick(fleet: Fleet) -> None:
    newest = await fleet.backend.control_log.newest(ControlSubject.SCHEDULE, NAME)
    assert newest is not None

    async def fired() -> bool:
        head = await fleet.backend.control_log.newest(ControlSubject.SCHEDULE, NAME)
        return head is not None and head.sequence > newest.sequence

    await eventually("another tick", fired, seconds=TICKS_AFTER_A_KILL)


def _leader(fleet: Fleet) -> WorkerProcess:
    alive = [worker for worker in fleet.workers if not worker.has_died]
    (leader,) = [worker for worker in alive if '"leader.elected"' in worker.log]
    return leader


async def _each_tick_has_its_job(fleet: Fleet, fired: Sequence[ControlEntry]) -> None:
    ids = [entry.details["jobId"] for entry in fired]
    assert ids == [tick_job_id(NAME, entry.details["tick"]) for entry in fired]
    for job_id in ids:
        await fleet.until_ended(job_id)
        assert (await fleet.statuses(job_id)).count("Completed") == 1, job_id
    made = [history[0].job_id async for history in fleet.backend.trail.scan()]
    assert sorted(made) == sorted(ids)


def _latest(fired: Sequence[ControlEntry]) -> float:
    return max((e.occurred_at - parse_time(e.details["tick"])).total_seconds() for e in fired)


async def _log(fleet: Fleet) -> list[ControlEntry]:
    log = await fleet.backend.control_log.history(ControlSubject.SCHEDULE, NAME, limit=1000)
    return list(log)[::-1]


def _schedules(fleet: Fleet) -> Schedules:
    backend, clock = fleet.backend, SystemClock()
    writes = WriteSide.wire(backend=backend, clock=clock, defaults=fleet.settings.job_defaults)
    return Schedules(
        log=backend.control_log, trail=backend.trail, submitter=writes.submitter, clock=clock
    )
