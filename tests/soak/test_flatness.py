"""A curve that creeps is not flat; one that warms up or swings is."""

import pytest

from tests.soak.flatness import Curve, growth, is_flat

MIB = Curve("MiB", 5)


@pytest.mark.parametrize(
    ("values", "flat"),
    [
        ([100] * 40, True),
        ([10 * n for n in range(10)] + [100] * 30, True),
        ([100 + 10 * (n % 2) for n in range(40)], True),
        ([200 - n for n in range(40)], True),
        ([100 + n for n in range(40)], False),
        ([100] * 30 + [150] * 10, False),
    ],
    ids=["even", "warms up", "swings", "falls", "creeps", "jumps late"],
)
def test_a_curve_is_judged_by_its_last_quarter(values: list[float], *, flat: bool) -> None:
    assert is_flat(MIB, values) is flat


def test_growth_of_a_small_curve_within_its_grain_counts_as_none() -> None:
    assert is_flat(MIB, [4] * 10 + [8] * 10)
    assert not is_flat(MIB, [4] * 10 + [10] * 10)


def test_too_short_a_curve_is_refused() -> None:
    with pytest.raises(ValueError, match="eight values"):
        growth([1.0] * 7)
