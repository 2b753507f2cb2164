"""SystemClock: it follows corrections of the system clock and never falls."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from jobfleet_backends import system_clock
from jobfleet_backends.system_clock import SystemClock

HOUR = timedelta(hours=1)


class SystemTime:
    """Stands in for the system clock and for the one that nobody can set."""

    def __init__(self) -> None:
        self.wall = datetime(2026, 1, 31, 12, tzinfo=UTC)
        self.seconds = 100.0

    def now(self, zone: object = None) -> datetime:
        assert zone is UTC
        return self.wall

    def clock_gettime(self, _: int) -> float:
        return self.seconds

    def pass_by(self, seconds: float) -> None:
        self.wall += timedelta(seconds=seconds)
        self.seconds += seconds


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch) -> SystemTime:
    found = SystemTime()
    monkeypatch.setattr(system_clock, "datetime", found)
    monkeypatch.setattr(system_clock, "time", found)
    return found


def test_the_clock_shows_wall_time_and_moves_forward() -> None:
    clock = SystemClock()
    first, second = clock.now(), clock.now()
    assert first <= second
    assert abs(datetime.now(UTC) - second) < timedelta(seconds=1)
    assert clock.boottime() <= clock.boottime()


def test_a_clock_that_was_slow_at_the_start_is_right_as_soon_as_it_is_corrected(
    system: SystemTime,
) -> None:
    right = system.wall
    system.wall -= HOUR
    clock = SystemClock()
    assert clock.now() == right - HOUR
    system.wall += HOUR
    system.pass_by(3)
    assert clock.now() == right + timedelta(seconds=3) == system.wall


def test_a_clock_that_is_set_back_runs_at_half_speed_until_both_agree(system: SystemTime) -> None:
    clock = SystemClock()
    before = clock.now()
    system.wall -= timedelta(seconds=10)
    times = [before]
    for _ in range(20):
        system.pass_by(1)
        times.append(clock.now())
    assert times == sorted(times)
    assert times[4] - before == timedelta(seconds=2)
    assert times[-1] == system.wall
    system.pass_by(1)
    assert clock.now() == system.wall


def test_a_sleep_of_the_machine_shows(system: SystemTime) -> None:
    clock = SystemClock()
    system.pass_by(7200)
    assert clock.now() == system.wall
