"""Paused during load: nothing starts, restarts change nothing, all runs after the resume."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest

from jobfleet_backends.system_clock import SystemClock
from jobfleet_contracts.control import ControlEntry, ControlKind, ControlSubject
from jobfleet_contracts.errors import BackendUnavailable
from jobfleet_contracts.state import Status
from jobfleet_protocol.audit.control_check import check_control_log
from jobfleet_protocol.control.pauses import Pauses
from tests.polling import eventually
from tests.servers import ON_AZURE
from tests.system.fleet import Fleet
from tests.system.verified import assert_verified

JOBS = 100
ANNOUNCED = timedelta(seconds=4)
"""Less than a heartbeat, which is 5 s; without other load it takes a tenth of a second."""
KNOWN = timedelta(seconds=15)
"""Three heartbeats: no worker goes by an older look."""


class Mute:
    """A control channel that loses everything."""

    async def announce_change(self, subject: ControlSubject, name: str) -> None:
        raise BackendUnavailable("lost")


@ON_AZURE
@pytest.mark.parametrize(
    ("subject", "name", "announced"),
    [
        (ControlSubject.QUEUE, "default", True),
        pytest.param(ControlSubject.TYPE, "demo.steps", True, marks=pytest.mark.full),
        pytest.param(ControlSubject.QUEUE, "default", False, marks=pytest.mark.full),
    ],
    ids=["queue", "type", "queue, announcement lost"],
)
async def test_a_pause_during_load_holds_through_restarts_and_a_resume_that_died(
    fleet: Fleet, subject: ControlSubject, name: str, announced: bool
) -> None:
    first, _ = fleet.start_worker(concurrency="2"), fleet.start_worker(concurrency="2")
    jobs = [await fleet.submit_steps(steps=1, step_seconds=0.5) for _ in range(JOBS)]

    async def some_started() -> bool:
        return bool(await starts(fleet, jobs))

    await eventually("a start", some_started, seconds=120)
    backend = fleet.backend
    control = backend.control if announced else Mute()
    pauses = Pauses(log=backend.control_log, control=control, clock=SystemClock())  # type: ignore[arg-type]
    await pauses.pause(subject, name, by="nightops", reason="storm")
    [paused] = await log_of(fleet, subject, name)
    bound = ANNOUNCED if announced else KNOWN
    await asyncio.sleep(bound.total_seconds())  # what may start late has started
    first.signal(signal.SIGKILL)
    fleet.start_worker(concurrency="2")
    await asyncio.sleep(7)  # longer than a heartbeat and a sweep of the rescuer
    began = await starts(fleet, jobs)
    assert not [at for at in began if at > paused.occurred_at + bound]
    assert len(began) < JOBS
    await resume_and_die(fleet, subject, name)
    await fleet.until_ended(*jobs, seconds=120)
    log = await log_of(fleet, subject, name)
    assert [entry.kind for entry in log] == [ControlKind.PAUSED, ControlKind.RESUMED]
    assert check_control_log(log) == []
    await assert_verified(backend)


async def resume_and_die(fleet: Fleet, subject: ControlSubject, name: str) -> None:
    """Append ``Resumed`` as the command does, and announce nothing: it died in between."""
    mute = Pauses(log=fleet.backend.control_log, control=Mute(), clock=SystemClock())  # type: ignore[arg-type]
    await mute.resume(subject, name, by="nightops")


async def log_of(fleet: Fleet, subject: ControlSubject, name: str) -> Sequence[ControlEntry]:
    return (await fleet.backend.control_log.history(subject, name))[::-1]


async def starts(fleet: Fleet, jobs: Sequence[str]) -> list[datetime]:
    trail = fleet.backend.trail
    histories = await asyncio.gather(*(trail.history(job_id) for job_id in jobs))
    return [e.occurred_at for events in histories for e in events if e.kind is Status.STARTED]
