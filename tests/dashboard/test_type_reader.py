"""The report on types: only times that may have changed are read again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jobfleet_contracts.run_times import RunKind, RunTimes, SlowRun, TypeTimes
from jobfleet_dashboard.type_reader import TypeReader
from tests.dashboard.standing_clock import StandingClock

NOON = datetime(2026, 3, 1, 12, 4, 30, tzinfo=UTC)
STEP = timedelta(minutes=10)


class _Index:
    def __init__(self) -> None:
        self.asked: list[datetime] = []
        self.runs: list[tuple[datetime, int]] = []

    def end(self, moment: datetime, duration_ms: int = 7) -> None:
        self.runs.append((moment, duration_ms))

    async def run_times(self, *, since: datetime) -> RunTimes:
        self.asked.append(since)
        found = [run for run in self.runs if run[0] >= since]
        starts = {m.replace(minute=m.minute // 10 * 10, second=0) for m, _ in found}
        types = [
            TypeTimes(
                job_type="a",
                start=start,
                counts={RunKind.COMPLETED: {7: sum(start <= m < start + STEP for m, _ in found)}},
            )
            for start in starts
        ]
        return RunTimes(types, [_run(*run) for run in found])


def _run(moment: datetime, duration_ms: int) -> SlowRun:
    return SlowRun(
        duration_ms=duration_ms,
        job_id=f"{moment}",
        sequence=3,
        job_name="n",
        job_type="a",
        attempt=1,
        kind=RunKind.COMPLETED,
        ended_at=moment,
    )


@pytest.fixture
def clock() -> StandingClock:
    return StandingClock(NOON)


@pytest.fixture
def index() -> _Index:
    return _Index()


@pytest.fixture
def reader(index: Any, clock: StandingClock) -> TypeReader:
    return TypeReader(reader=index, clock=clock)


async def test_later_looks_read_only_the_last_steps_and_lose_nothing(
    reader: TypeReader, index: _Index, clock: StandingClock
) -> None:
    for minutes in (-1500, -600, -30, 0):
        index.end(NOON + timedelta(minutes=minutes), 100 - minutes)
    report = await reader.read()
    assert (report.hour["a"].ended, report.day["a"].ended) == (2, 3)
    clock.passed = timedelta(minutes=2)
    index.end(clock.now())
    report = await reader.read()
    assert (report.hour["a"].ended, report.day["a"].ended) == (3, 4)
    assert [run.duration_ms for run in report.slowest] == [700, 130, 100, 7]
    noon = NOON.replace(minute=0, second=0)
    assert index.asked == [noon - timedelta(days=1), noon]


async def test_what_is_older_than_a_day_goes(
    reader: TypeReader, index: _Index, clock: StandingClock
) -> None:
    index.end(NOON)
    assert (await reader.read()).day["a"].ended == 1
    clock.passed = timedelta(days=1, minutes=10)
    report = await reader.read()
    assert (report.types, report.slowest) == (frozenset(), [])


async def test_many_askers_within_five_seconds_read_once(
    reader: TypeReader, index: _Index, clock: StandingClock
) -> None:
    for seconds in (0, 1, 4):
        clock.passed = timedelta(seconds=seconds)
        await reader.read()
    assert len(index.asked) == 1
