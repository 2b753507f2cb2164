"""How often an unchanged row is seen to."""

from itertools import pairwise

import pytest

from jobfleet_worker.upkeep.republish_pace import Pace, RepublishPace

ROW = ("a job", 1, 3)


def moments(pace: Pace, until: int) -> list[int]:
    """The seconds at which a row that changed at second 0 is allowed, asked every second."""
    paces = RepublishPace()
    return [
        second
        for second in range(until)
        if paces.allows(ROW, pace, unchanged_for=second, now=second)
    ]


@pytest.mark.parametrize(
    ("pace", "first", "pauses"),
    [
        (Pace.AT_ONCE, 0, [10, 20, 40, 80, 160, 320, 640, 900, 900]),
        (Pace.OVERDUE, 60, [60, 120, 240, 480, 900, 900]),
        (Pace.QUIET, 3600, [3600, 7200, 14_400]),
    ],
)
def test_pauses_double_up_to_a_quarter_of_an_hour_and_quiet_ones_further(
    pace: Pace, first: int, pauses: list[int]
) -> None:
    found = moments(pace, first + sum(pauses) + 1)
    assert found[0] == first
    assert [b - a for a, b in pairwise(found)] == pauses


def test_a_row_that_changed_begins_anew() -> None:
    paces = RepublishPace()
    assert paces.allows(ROW, Pace.AT_ONCE, unchanged_for=0, now=0)
    assert not paces.allows(ROW, Pace.AT_ONCE, unchanged_for=1, now=1)
    assert paces.allows(("a job", 1, 4), Pace.AT_ONCE, unchanged_for=0, now=1)


def test_a_row_that_becomes_more_urgent_does_not_wait_for_its_old_pace() -> None:
    paces = RepublishPace()
    assert paces.allows(ROW, Pace.QUIET, unchanged_for=3600, now=0)
    assert paces.allows(ROW, Pace.OVERDUE, unchanged_for=3601, now=1)


def test_rows_that_do_not_come_up_again_are_forgotten() -> None:
    paces = RepublishPace()
    paces.allows(ROW, Pace.AT_ONCE, unchanged_for=0, now=0)
    paces.forget_before(29)
    assert paces._entries
    paces.forget_before(31)
    assert not paces._entries


def test_what_could_not_be_published_is_tried_at_the_next_sweep_and_at_the_first_pause_after() -> (
    None
):
    pace = RepublishPace()
    row = ("job", 1, 5)
    assert pace.allows(row, Pace.AT_ONCE, unchanged_for=0, now=0)
    pace.undo(row, Pace.AT_ONCE, now=0)
    assert pace.allows(row, Pace.AT_ONCE, unchanged_for=1, now=1)
    assert not pace.allows(row, Pace.AT_ONCE, unchanged_for=10, now=10)
    assert pace.allows(row, Pace.AT_ONCE, unchanged_for=11, now=11)
