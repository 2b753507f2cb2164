"""SystemClock: a step of the wall clock does not show."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from jobfleet_backends import system_clock
from jobfleet_backends.system_clock import SystemClock


def test_the_clock_shows_wall_time_and_moves_forward() -> None:
    clock = SystemClock()
    first, second = clock.now(), clock.now()
    assert first <= second
    assert abs(datetime.now(UTC) - second) < timedelta(seconds=1)
    assert clock.boottime() <= clock.boottime()


def test_a_step_of_the_wall_clock_does_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SystemClock()
    before = clock.now()

    class SteppedWall(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]  # noqa: ARG003
            return before + timedelta(minutes=10)

    monkeypatch.setattr(system_clock, "datetime", SteppedWall)
    assert clock.now() - before < timedelta(seconds=5)
