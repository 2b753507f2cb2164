"""WorkerDirectory: who works here."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from jobfleet_contracts.backend import Backend
from jobfleet_contracts.worker_status import (
    MOST_RECENT_RUNS,
    EndedRun,
    RunningJob,
    WorkerStatus,
)
from tests.conformance.conftest import WITH_FAKES
from tests.conformance.jobs import an_id

pytestmark = WITH_FAKES


def _status(*, minutes: float = 1, silent_minutes: float = 0) -> WorkerStatus:
    now = datetime.now(UTC)
    started_at = now - timedelta(minutes=minutes)
    running = RunningJob(
        job_id=an_id(),
        job_name="größe",
        job_type="demo.steps",
        attempt=2,
        started_at=started_at,
        lease_seconds_left=12.5,
    )
    return WorkerStatus(
        worker_id=an_id(),
        host="h",
        pid=7,
        version="0.1.0",
        started_at=started_at,
        heartbeat_at=now - timedelta(minutes=silent_minutes),
        slots=10,
        queues=("default", "mail"),
        types=("demo.steps",),
        running=(running,),
        schedules={f"nightly-{number}": f"{number:064}" for number in range(300)},
        refused={f"{number:064}": "payload.größe: " + "x" * 280 for number in range(20)},
        clock_off_seconds=-0.125,
    )


async def test_a_worker_comes_back_as_it_described_itself(backend: Backend, other: Backend) -> None:
    status = _status()
    await backend.directory.beat(status)
    assert list(await other.directory.workers()) == [status]


async def test_a_heartbeat_replaces_the_one_before(backend: Backend) -> None:
    status = _status()
    await backend.directory.beat(status)
    later = replace(status, running=(), draining=True)
    await backend.directory.beat(later)
    assert list(await backend.directory.workers()) == [later]


async def test_the_longest_running_worker_comes_first(backend: Backend) -> None:
    statuses = [_status(minutes=minutes) for minutes in (1, 30, 5)]
    for status in statuses:
        await backend.directory.beat(status)
    found = await backend.directory.workers()
    assert list(found) == [statuses[1], statuses[2], statuses[0]]


async def test_a_worker_that_stopped_is_listed_on_request_only(backend: Backend) -> None:
    status, other = _status(minutes=2), _status(minutes=1)
    await backend.directory.beat(status)
    await backend.directory.beat(other)
    stopped = replace(status, running=(), stopped_at=datetime.now(UTC))
    await backend.directory.beat(stopped)
    assert list(await backend.directory.workers()) == [other]
    assert list(await backend.directory.workers(with_stopped=True)) == [stopped, other]


async def test_a_worker_silent_for_more_than_an_hour_is_not_listed_but_can_be_read_for_a_week(
    backend: Backend, other: Backend
) -> None:
    week = 7 * 24 * 60
    alive, silent, old = (
        _status(minutes=week * 2, silent_minutes=minutes) for minutes in (55, 61, week + 10)
    )
    for status in (silent, alive, old):
        await backend.directory.beat(status)
    assert list(await backend.directory.workers()) == [alive]
    await other.directory.forget(datetime.now(UTC) - timedelta(days=7))
    assert await backend.directory.worker(silent.worker_id) == silent
    assert await backend.directory.worker(alive.worker_id) == alive
    assert await backend.directory.worker(old.worker_id) is None
    assert await backend.directory.worker(an_id()) is None


async def test_a_heartbeat_tells_what_the_worker_ran(backend: Backend, other: Backend) -> None:
    now = datetime.now(UTC)
    runs = tuple(
        EndedRun(
            job_id=an_id(),
            job_name="größe" * 40,
            job_type="demo.steps",
            attempt=number,
            started_at=now,
            ended_at=now,
            ended="failed",
        )
        for number in range(MOST_RECENT_RUNS)
    )
    status = replace(_status(), runs=300, failures=20, fenced=2, recent=runs)
    await backend.directory.beat(status)
    assert await other.directory.worker(status.worker_id) == status
