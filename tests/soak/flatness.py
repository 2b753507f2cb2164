"""Whether a curve stays flat once a run has warmed up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

GROWTH = 0.1
"""Share by which a curve may end above where it stood after the first quarter of the run."""


@dataclass(frozen=True, slots=True)
class Curve:
    """What is measured of the fleet.

    Attributes:
        grain: growth of no more than this counts as none, in the curve's own unit.
    """

    name: str
    grain: float


def growth(values: Sequence[float]) -> float:
    """Return how far the last quarter lies above the second one, by their medians.

    The first quarter is left out: pools fill, and nothing is old enough to be removed.

    Raises:
        ValueError: there are fewer than eight values.
    """
    if len(values) < 8:
        raise ValueError("a curve needs eight values to be judged")
    quarter = len(values) // 4
    return median(values[-quarter:]) - median(values[quarter : 2 * quarter])


def is_flat(curve: Curve, values: Sequence[float]) -> bool:
    """Whether a curve has grown by no more than its grain and a tenth of its level."""
    quarter = len(values) // 4
    level = median(values[quarter : 2 * quarter])
    return growth(values) <= max(curve.grain, GROWTH * level)
