"""Histograms of waiting and running times."""

from __future__ import annotations

import pytest

from jobfleet_contracts.run_times import LEAST_MS, UNTIMED, added, bucket_of, percentile

_DAY_MS = 24 * 60 * 60 * 1000


def test_every_duration_is_told_within_five_percent_and_a_short_one_exactly() -> None:
    durations = [*range(5_000), *(least - 1 for least in LEAST_MS[1:]), *LEAST_MS[:-1]]
    for duration in durations:
        estimate = percentile({bucket_of(duration): 1}, 0.5)
        assert estimate is not None
        assert abs(estimate - duration) <= 0.05 * duration
        assert duration >= 20 or estimate == duration


def test_what_took_more_than_thirty_days_counts_as_thirty() -> None:
    estimate = percentile({bucket_of(400 * _DAY_MS): 1}, 0.99)
    assert estimate == LEAST_MS[-1]
    assert abs(estimate - 30 * _DAY_MS) <= 0.09 * 30 * _DAY_MS


def test_a_clock_that_went_back_counts_as_nothing_waited() -> None:
    assert bucket_of(-5) == 0


@pytest.mark.parametrize(("share", "expected"), [(0.5, 2), (0.95, 10), (0.99, 10), (0.1, 1)])
def test_a_percentile_is_the_duration_that_its_share_does_not_exceed(
    share: float, expected: int
) -> None:
    histogram = added([{1: 2, 2: 1}, {2: 2, 10: 1}, {UNTIMED: 50}])
    assert percentile(histogram, share) == expected


def test_no_known_duration_has_no_percentile() -> None:
    assert percentile({}, 0.5) is None
    assert percentile({UNTIMED: 3}, 0.5) is None
    assert percentile({5: -7}, 0.5) is None  # of a row that somebody has edited
