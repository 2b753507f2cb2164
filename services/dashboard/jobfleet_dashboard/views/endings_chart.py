"""Jobs that ended in each step of a range of time, as bars that the server draws."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from jobfleet_contracts.index import EndedCount
from jobfleet_contracts.state import State

WIDTH = 600
HEIGHT = 120
BASE = 100
_GAP = 1.5
A_DAY = timedelta(days=1)


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
    end: datetime
    x: float
    width: float
    good_y: float
    good_height: float
    bad_y: float
    bad_height: float
    title: str


@dataclass(frozen=True, slots=True)
class EndingsChart:
    """All that the template puts into SVG.

    Attributes:
        since, until: the range that the bars cover.
        top: the number that the highest bar stands for.
        labels: x and moment of labels on the axis.
        before: points of the line of the day before; empty if it is not drawn.
        clock: how its times are told: ``short`` by the time of day, ``day`` with the date.
    """

    since: datetime
    until: datetime
    bars: tuple[ChartBar, ...]
    top: int
    labels: tuple[tuple[float, datetime], ...]
    summary: str
    before: str = ""
    clock: str = "short"

    def time_text(self, moment: datetime) -> str:
        """Return a moment of the chart in UTC."""
        return moment.strftime("%H:%M" if self.clock == "short" else "%m-%d %H:%M")


def buckets_of(
    first: datetime, length: timedelta, steps: int, counts: Iterable[EndedCount]
) -> list[Bucket]:
    """Return consecutive buckets with what ended in each, oldest first."""
    found = {start: Bucket(start) for start in (first + length * n for n in range(steps))}
    for one in counts:
        if one.start in found:
            found[one.start] = _add(found[one.start], one)
    return list(found.values())


def draw_endings(
    buckets: Sequence[Bucket], length: timedelta, *, before: Sequence[Bucket] = ()
) -> EndingsChart:
    """Return the chart of consecutive buckets of one length, oldest first.

    Args:
        before: as many buckets of the day before, for a line behind the bars.
    """
    top = _round_up(max((bucket.total for bucket in (*buckets, *before)), default=0))
    width = WIDTH / max(1, len(buckets))
    bars = tuple(_bar(bucket, length, n * width, width, top) for n, bucket in enumerate(buckets))
    every = max(1, len(buckets) // 4)
    labels = tuple(
        (n * width, bucket.start)
        for n, bucket in enumerate(buckets)
        if n % every == 0 and 2 * (len(buckets) - n) > every  # the end has a label too
    )
    ended = sum(bucket.total for bucket in buckets)
    bad = sum(bucket.failed + bucket.timed_out for bucket in buckets)
    past = sum(bucket.total for bucket in before)
    message = f"; {past} ended in the same time a day before" if before else ""
    return EndingsChart(
        since=buckets[0].start,
        until=buckets[-1].start + length,
        bars=bars,
        top=top,
        labels=labels,
        summary=f"{ended} jobs ended, {bad} of them badly{message}",
        before=_line(before, width, top) if past else "",
        clock="short" if len(buckets) * length <= A_DAY else "day",
    )


def _add(bucket: Bucket, one: EndedCount) -> Bucket:
    return replace(
        bucket,
        completed=bucket.completed + one.jobs * (one.state is State.COMPLETED),
        failed=bucket.failed + one.jobs * (one.state is State.FAILED),
        timed_out=bucket.timed_out + one.jobs * (one.state is State.TIMED_OUT),
        cancelled=bucket.cancelled + one.jobs * (one.state is State.CANCELLED),
        timed=bucket.timed + one.timed,
        busy_ms=bucket.busy_ms + one.duration_ms,
    )


def _line(buckets: Sequence[Bucket], width: float, top: int) -> str:
    """Return points in the middle of each bucket, as SVG wants them."""
    places = ((n * width + width / 2, BASE - b.total / top * BASE) for n, b in enumerate(buckets))
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in places)


def _bar(bucket: Bucket, length: timedelta, x: float, width: float, top: int) -> ChartBar:
    bad = bucket.failed + bucket.timed_out
    good_height = round((bucket.total - bad) / top * BASE, 1)
    bad_height = round(bad / top * BASE, 1)
    return ChartBar(
        start=bucket.start,
        end=bucket.start + length,
        x=round(x + _GAP / 2, 2),
        width=round(width - _GAP, 2),
        good_y=round(BASE - good_height, 1),
        good_height=good_height,
        bad_y=round(BASE - good_height - bad_height, 1),
        bad_height=bad_height,
        title=_bucket_title(bucket),
    )


def _bucket_title(bucket: Bucket) -> str:
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
