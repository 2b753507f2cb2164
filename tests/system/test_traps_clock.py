"""Trap: clocks. Due times follow a corrected clock; leases, waits and order do not depend on it."""

import ast
import asyncio
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import jobfleet_backends.system_clock
from jobfleet_backends.system_clock import SystemClock
from jobfleet_contracts.job import JobRequest
from jobfleet_protocol.actions.write_side import WriteSide
from jobfleet_worker import JobContext, Retry, handler
from tests.worker.workshop import DEFAULTS, LEASE_SECONDS, Workshop

pytest_plugins = ["tests.worker.conftest"]

ROOTS = ("services/worker", "shared/protocol", "shared/backends", "shared/contracts")
READS_WALL_TIME = {
    "system_clock.py": "the clock that everybody else uses",
    "job.py": "the creation time that a request names by default",
    "retry_after.py": "a date that another server sent",
    "signing.py": "the date that signs a request",
    "timeline.py": "the local zone",
    "attempt_log.py": "the time of a log's last line, which is shown only",
    "log_capture.py": "the time of a logged line, which is shown only",
}


class WallClock:
    """Stands in for the two ways to read the wall clock."""

    def __init__(self) -> None:
        self.ahead = 0.0
        self._time = time.time

    def time(self) -> float:
        return self._time() + self.ahead

    def now(self, zone: Any = None) -> datetime:
        return datetime.fromtimestamp(self.time(), zone or UTC)


@pytest.fixture
def wall_clock(monkeypatch: pytest.MonkeyPatch) -> WallClock:
    found = WallClock()
    monkeypatch.setattr(time, "time", found.time)
    monkeypatch.setattr(jobfleet_backends.system_clock, "datetime", found)
    return found


@pytest.mark.parametrize("step", [600.0, -600.0])
async def test_clock_stepped_while_jobs_run_wait_and_retry(
    workshop: Workshop, wall_clock: WallClock, step: float
) -> None:
    @handler("job")
    async def work(payload: float, context: JobContext) -> int:
        await context.progress(1)
        if context.attempt == 1:
            raise Retry("once more", after=0.5)
        await asyncio.sleep(payload)
        return context.epoch

    workshop.start_worker(work)
    began = time.monotonic()
    long = await workshop.submit("job", LEASE_SECONDS + 1)
    due_at = workshop.clock.now() + timedelta(seconds=2)
    scheduled = await workshop.submit("job", 0.0, run_at=due_at)
    await asyncio.sleep(0.2)  # the long job runs when the clock is stepped
    wall_clock.ahead = step
    ends = [await workshop.until_ended(job_id) for job_id in (long, scheduled)]
    assert time.monotonic() - began < LEASE_SECONDS + 60  # a step is ten minutes
    assert [end.data["result"] for end in ends] == [2, 2]
    started = (await workshop.history(scheduled))[1]
    late = timedelta(seconds=max(step, 0) + 60)
    assert timedelta(0) <= started.occurred_at - due_at < late
    times = [event.occurred_at for event in await workshop.history(long)]
    assert times == sorted(times)
    assert "TakenOver" not in await workshop.statuses(long)


async def test_clock_an_hour_slow_at_the_start_and_corrected_then_delays_nothing(
    workshop: Workshop, wall_clock: WallClock
) -> None:
    @handler("job")
    async def work(payload: None) -> None: ...

    wall_clock.ahead = -3600.0
    workshop.clock = slow_at_the_start = SystemClock()
    workshop.start_worker(work)
    wall_clock.ahead = 0.0
    submitter = WriteSide.wire(
        backend=workshop.backend, clock=SystemClock(), defaults=DEFAULTS
    ).submitter
    began = time.monotonic()
    due_at = datetime.now(UTC) + timedelta(seconds=3)
    request = JobRequest(type="job", run_at=due_at)
    await submitter.submit(request)
    await workshop.until_ended(request.job_id)
    assert time.monotonic() - began < 120  # the clock was an hour slow
    assert slow_at_the_start.now() - datetime.now(UTC) < timedelta(seconds=5)
    history = await workshop.history(request.job_id)
    assert [event.status for event in history] == ["Scheduled", "Started", "Completed"]
    assert history[1].occurred_at >= due_at
    times = [event.occurred_at for event in history]
    assert times == sorted(times)


def test_clock_readers_of_wall_time_are_the_known_ones() -> None:
    root = Path(jobfleet_backends.system_clock.__file__).parents[3]
    found = {
        path.name
        for folder in ROOTS
        for path in (root / folder).rglob("*.py")
        if _reads_wall_time(ast.parse(path.read_text()))
    }
    assert found <= READS_WALL_TIME.keys()


def _reads_wall_time(tree: ast.Module) -> bool:
    calls = (node.func for node in ast.walk(tree) if isinstance(node, ast.Call))
    named = {
        (call.value.id, call.attr)
        for call in calls
        if isinstance(call, ast.Attribute) and isinstance(call.value, ast.Name)
    }
    return bool(named & {("datetime", "now"), ("datetime", "utcnow"), ("time", "time")})
