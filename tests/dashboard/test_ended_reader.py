"""What ended is kept by minute and hour; only what may have changed is read again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jobfleet_contracts.index import EndedCount, TimeStep
from jobfleet_contracts.state import State
from jobfleet_dashboard.ended_reader import DAY, HOUR, EndedReader
from jobfleet_dashboard.views.overview.throughput import throughput
from tests.dashboard.standing_clock import StandingClock

NOON = datetime(2026, 3, 1, 12, 0, 30, tzinfo=UTC)


class _Index:
    def __init__(self) -> None:
        self.asked: list[tuple[TimeStep, datetime]] = []
        self.counts: list[EndedCount] = []
        self.asked_before: list[tuple[TimeStep, datetime, datetime]] = []
        self.before: list[EndedCount] = []

    async def ended(
        self, *, since: datetime, step: TimeStep, until: datetime | None = None
    ) -> Sequence[EndedCount]:
        if until is not None:
            self.asked_before.append((step, since, until))
            return self.before
        self.asked.append((step, since))
        return [one for one in self.counts if one.start >= since and step == "minute"]


@pytest.fixture
def clock() -> StandingClock:
    return StandingClock(NOON)


@pytest.fixture
def index() -> _Index:
    return _Index()


@pytest.fixture
def reader(index: Any, clock: StandingClock) -> EndedReader:
    return EndedReader(reader=index, clock=clock)


def _at(minutes: int, jobs: int = 1, state: State = State.COMPLETED) -> EndedCount:
    start = NOON.replace(second=0) + timedelta(minutes=minutes)
    return EndedCount(start, state, jobs, jobs, jobs * 100)


async def test_an_hour_by_minutes_and_a_day_by_hours_are_read_at_first(
    reader: EndedReader, index: _Index
) -> None:
    await reader.read(HOUR)
    hour = NOON.replace(second=0) - timedelta(minutes=59)
    day = NOON.replace(second=0) - timedelta(hours=23)
    assert sorted(index.asked) == [("hour", day), ("minute", hour)]


async def test_later_only_the_steps_are_read_that_the_index_may_still_change(
    reader: EndedReader, index: _Index, clock: StandingClock
) -> None:
    await reader.read(HOUR)
    index.asked.clear()
    clock.passed += timedelta(minutes=10)
    await reader.read(HOUR)
    lagging = NOON.replace(second=0) - timedelta(minutes=3)
    assert sorted(index.asked) == [("hour", lagging.replace(minute=0)), ("minute", lagging)]


async def test_counts_stay_until_they_are_an_hour_old(
    reader: EndedReader, index: _Index, clock: StandingClock
) -> None:
    index.counts = [_at(-30, 5), _at(0, 2)]
    await reader.read(HOUR)
    index.counts = [_at(0, 3)]
    clock.passed += timedelta(minutes=1)
    assert [one.jobs for one in await reader.read(HOUR)] == [5, 3]
    clock.passed += timedelta(minutes=30)
    assert [one.jobs for one in await reader.read(HOUR)] == [3]


async def test_many_who_ask_within_two_seconds_cost_one_look(
    reader: EndedReader, index: _Index, clock: StandingClock
) -> None:
    for _ in range(5):
        await reader.read(HOUR)
        await reader.read(DAY)
        clock.passed += timedelta(seconds=0.3)
    assert len(index.asked) == 2


async def test_the_same_hour_a_day_before_is_read_once_for_each_minute(
    reader: EndedReader, index: _Index, clock: StandingClock
) -> None:
    index.before = [_at(-24 * 60, 7)]
    for _ in range(3):
        assert await reader.before(HOUR) == index.before
        clock.passed += timedelta(seconds=5)
    minute = NOON.replace(second=0) - timedelta(days=1)
    assert [one[1:] for one in index.asked_before if one[0] == "minute"] == [
        (minute - timedelta(minutes=59), minute + timedelta(minutes=1))
    ]
    clock.passed += timedelta(minutes=1)
    await reader.before(HOUR)
    assert len([one for one in index.asked_before if one[0] == "minute"]) == 2


def test_the_day_before_is_a_line_of_the_same_scale() -> None:
    shown = throughput(HOUR, [_at(-1, 2)], [_at(-1 - 24 * 60, 8)], now=NOON)
    points = [point.split(",")[1] for point in shown.chart.before.split()]
    assert (shown.chart.top, len(points)) == (8, 60)
    assert (points[58], points[0]) == ("0.0", "100.0")
    assert throughput(HOUR, [_at(-1, 2)], now=NOON).chart.before == ""


def test_figures_add_up_over_all_states() -> None:
    counts = [_at(-1, 6), _at(-1, 2, State.FAILED), _at(0, 2, State.TIMED_OUT)]
    shown = throughput(HOUR, counts, now=NOON)
    assert dict(shown.figures) == {
        "ended": "10",
        "failed": "2",
        "timed out": "2 (20.0%)",
        "ended badly": "40.0%",
        "mean duration": "100 ms",
    }
    assert (len(shown.chart.bars), shown.unit) == (60, "min")
