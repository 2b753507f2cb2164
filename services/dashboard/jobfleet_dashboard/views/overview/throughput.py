"""What ended in the last hour and the last day: figures and a chart for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from jobfleet_contracts.index import EndedCount
from jobfleet_dashboard.ended_reader import A_DAY, DAY, HOUR, EndedReader, Period
from jobfleet_dashboard.views.endings_chart import Bucket, EndingsChart, buckets_of, draw_endings
from jobfleet_protocol.reading.durations import spell

Figure = tuple[str, str]
_UNITS: Mapping[str, str] = {"minute": "min", "hour": "h"}


@dataclass(frozen=True, slots=True)
class Throughput:
    """One span of time on the first screen.

    Attributes:
        name: ``Last hour`` or ``Last day``.
        unit: time of one bar: ``min`` or ``h``.
        figures: name and value.
    """

    name: str
    unit: str
    figures: tuple[Figure, ...]
    chart: EndingsChart


async def read_throughput(reader: EndedReader, now: datetime) -> tuple[Throughput, ...]:
    """Return the last hour by minutes and the last day by hours.

    Raises:
        BackendUnavailable: the index cannot be read.
    """
    return tuple(
        [
            throughput(each, await reader.read(each), await reader.before(each), now=now)
            for each in (HOUR, DAY)
        ]
    )


def throughput(
    period: Period,
    counts: Sequence[EndedCount],
    before: Sequence[EndedCount] = (),
    *,
    now: datetime,
) -> Throughput:
    """Return what a period's counts come to; ``before`` are those of the day before."""
    first = period.floor(now) - period.starts
    buckets = buckets_of(first, period.length, period.steps, counts)
    past = buckets_of(first - A_DAY, period.length, period.steps, before)
    chart = draw_endings(buckets, period.length, before=past)
    return Throughput(period.name, _UNITS[period.step], _figures(buckets), chart)


def _figures(buckets: Sequence[Bucket]) -> tuple[Figure, ...]:
    ended = sum(bucket.total for bucket in buckets)
    failed = sum(bucket.failed for bucket in buckets)
    timed_out = sum(bucket.timed_out for bucket in buckets)
    timed = sum(bucket.timed for bucket in buckets)
    busy_ms = sum(bucket.busy_ms for bucket in buckets)
    return (
        ("ended", f"{ended:,}"),
        ("failed", f"{failed:,}"),
        ("timed out", f"{timed_out:,} ({timed_out / ended:.1%})" if timed_out else "0"),
        ("ended badly", f"{(failed + timed_out) / ended:.1%}" if ended else "none"),
        ("mean duration", spell(busy_ms / timed / 1000) if timed else "none"),
    )
