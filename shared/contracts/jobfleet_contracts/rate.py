"""How many jobs may start in a span of time, and the row that counts them.

The count is a GCRA (generic cell rate algorithm, ITU-T I.371): one moment per key, the theoretical
arrival time. A start is reserved at the earliest time that this moment allows, and moves it on by
an interval.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

PERIODS = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400}
MOST_STARTS = 10_000
"""Limit of starts in one period, and of a burst."""
SHORTEST_GRACE_SECONDS, LONGEST_GRACE_SECONDS = 1.0, 60.0
MOST_AHEAD = timedelta(seconds=5)
"""No start further ahead is reserved, so that later work of higher priority finds room."""

_RATE = re.compile(r"([0-9]{1,5})/(second|minute|hour|day)")
_WANTED = "as '10/second'; after the stroke second, minute, hour or day"


@dataclass(frozen=True, slots=True)
class Rate:
    """So many starts in each period, spread evenly.

    In any window of ``w`` seconds at most ``starts / period * (w + grace_seconds) + burst`` begin.

    Attributes:
        text: ``10/second``, ``600/hour``.
        burst: how many starts may come at once after a quiet time.
        grace_seconds: how long after its reserved start a job may start.

    Raises:
        ValueError: a value does not fit; says which and what is allowed.
    """

    text: str
    burst: int = 1
    grace_seconds: float = 1.0

    def __post_init__(self) -> None:
        """Check all three."""
        _check_text(self.text)
        _check_burst(self.burst)
        _check_grace(self.grace_seconds)

    def __str__(self) -> str:
        return self.text

    @property
    def interval(self) -> timedelta:
        """Time from one start to the next; rounded up, so that the rate is never exceeded."""
        starts, _, period = self.text.partition("/")
        return timedelta(microseconds=math.ceil(PERIODS[period] * 1_000_000 / int(starts)))

    @property
    def grace(self) -> timedelta:
        """``grace_seconds`` as a span of time."""
        return timedelta(seconds=self.grace_seconds)


def _check_text(text: Any) -> None:
    found = _RATE.fullmatch(text) if isinstance(text, str) else None
    if found is None or not 1 <= int(found[1]) <= MOST_STARTS:
        raise ValueError(
            f"rate is {text!r}; write 1 to {MOST_STARTS:,} starts in a period, {_WANTED}"
        )


def _check_burst(burst: Any) -> None:
    if type(burst) is not int or not 1 <= burst <= MOST_STARTS:
        raise ValueError(f"burst is {burst!r}; it can be a whole number from 1 to {MOST_STARTS:,}")


def _check_grace(seconds: Any) -> None:
    is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if not is_number or not SHORTEST_GRACE_SECONDS <= seconds <= LONGEST_GRACE_SECONDS:
        raise ValueError(
            f"grace_seconds is {seconds!r}; it can be {SHORTEST_GRACE_SECONDS:g} to "
            f"{LONGEST_GRACE_SECONDS:g}"
        )


@dataclass(frozen=True, slots=True)
class RateRow:
    """The count of one key.

    Attributes:
        moment: the theoretical arrival time, by the storage's clock.
        version: changes with each write; what a replacement must name.
    """

    moment: datetime
    version: str
