"""Pauses that double, and what they spare."""

import pytest

from jobfleet_backends.rabbitmq.back_off import BackOff


async def test_the_pause_doubles_up_to_the_longest_and_begins_anew_after_a_success() -> None:
    back_off = BackOff(first=1.0, longest=5.0)
    assert (back_off.pause, back_off.remaining) == (0.0, 0.0)
    pauses = []
    for _ in range(5):
        back_off.failed()
        pauses.append(back_off.pause)
    assert pauses == [1.0, 2.0, 4.0, 5.0, 5.0]
    assert back_off.remaining == pytest.approx(5.0, abs=0.5)
    back_off.succeeded()
    back_off.failed()
    assert back_off.pause == 1.0


async def test_years_of_failures_are_no_overflow() -> None:
    back_off = BackOff(first=1.0, longest=5.0)
    for _ in range(5000):
        back_off.failed()
    assert back_off.pause == 5.0
