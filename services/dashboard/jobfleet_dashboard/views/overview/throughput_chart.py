"""Jobs that ended per minute, as bars that the server draws."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

WIDTH = 600
HEIGHT = 120
BASE = 100
_GAP = 1.5


@dataclass(frozen=True, slots=True)
class Bucket:
    """What ended within one step of time.

    Attributes:
        timed: how many of them ended an attempt; ``busy_ms`` is the sum of those.
    """

    start: datetime
    completed: int = 0
    failed: int = 0
    timed_out: int = 0
    cancelled: int = 0
    timed: int = 0
    busy_ms: int = 0

    @property
    def total(self) -> int:
        """All that ended."""
        return self.completed + self.failed + self.timed_out + self.cancelled


@dataclass(frozen=True, slots=True)
class ChartBar:
    """One bucket: completed from the base up, what went wrong stacked on it."""

    start: datetime
    x: float
    width: float
    good_y: float
    good_height: float
    bad_y: float
    bad_height: float
    title: str


@dataclass(frozen=True, slots=True)
class ThroughputChart:
    """All that the template puts into SVG.

    Attributes:
        top: the number that the highest bar stands for.
        hours: x and moment of labels on the axis.
    """

    bars: tuple[ChartBar, ...]
    top: int
    labels: tuple[tuple[float, datetime], ...]
    summary: str


def draw_throughput(buckets: Sequence[Bucket]) -> ThroughputChart:
    """Return the chart of consecutive buckets, oldest first."""
    top = _round_up(max((bucket.total for bucket in buckets), default=0))
    width = WIDTH / max(1, len(buckets))
    bars = tuple(_bar(bucket, n * width, width, top) for n, bucket in enumerate(buckets))
    every = max(1, len(buckets) // 4)
    labels = tuple((n * width, bucket.start) for n, bucket in enumerate(buckets) if n % every == 0)
    ended = sum(bucket.total for bucket in buckets)
    bad = sum(bucket.failed + bucket.timed_out for bucket in buckets)
    return ThroughputChart(bars, top, labels, f"{ended} jobs ended, {bad} of them badly")


def _bar(bucket: Bucket, x: float, width: float, top: int) -> ChartBar:
    bad = bucket.failed + bucket.timed_out
    good_height = round((bucket.total - bad) / top * BASE, 1)
    bad_height = round(bad / top * BASE, 1)
    return ChartBar(
        start=bucket.start,
        x=round(x + _GAP / 2, 2),
        width=round(width - _GAP, 2),
        good_y=round(BASE - good_height, 1),
        good_height=good_height,
        bad_y=round(BASE - good_height - bad_height, 1),
        bad_height=bad_height,
        title=_told(bucket),
    )


def _told(bucket: Bucket) -> str:
    bad = bucket.failed + bucket.timed_out
    cancelled = f", {bucket.cancelled:,} cancelled" if bucket.cancelled else ""
    return f"{bucket.completed:,} completed, {bad:,} failed{cancelled}"


def _round_up(count: int) -> int:
    """Return 1, 2, 4, 5 or 8 times a power of ten, at least 4 and at least the count."""
    size = 1
    while True:
        for step in (1, 2, 4, 5, 8):
            if step * size >= max(4, count):
                return step * size
        size *= 10
