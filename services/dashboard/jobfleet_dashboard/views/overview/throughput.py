"""What ended in the last hour and the last day: figures and a chart for each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from jobfleet_contracts.index import EndedCount
from jobfleet_contracts.state import State
from jobfleet_dashboard.ended_reader import DAY, HOUR, EndedReader, Period
from jobfleet_dashboard.views.overview.throughput_chart import (
    Bucket,
    ThroughputChart,
    draw_throughput,
)
from jobfleet_protocol.reading.durations import spell

Figure = tuple[str, str]
_UNITS: Mapping[str, str] = {"minute": "min", "hour": "h"}


@dataclass(frozen=True, slots=True)
class Throughput:
    """One span of time on the first screen.

    Attributes:
        name: ``Last hour`` or ``Last day``.
        unit: of one bar: ``min`` or ``h``.
        figures: name and value.
    """

    name: str
    unit: str
    figures: tuple[Figure, ...]
    chart: ThroughputChart


async def read_throughput(reader: EndedReader, now: datetime) -> tuple[Throughput, ...]:
    """Return the last hour by minutes and the last day by hours.

    Raises:
        BackendUnavailable: the index cannot be read.
    """
    of_hour, of_day = await reader.read(HOUR), await reader.read(DAY)
    return throughput(HOUR, of_hour, now=now), throughput(DAY, of_day, now=now)


def throughput(period: Period, counts: Sequence[EndedCount], *, now: datetime) -> Throughput:
    """Return what a period's counts come to."""
    buckets = list(_buckets(period, counts, now))
    unit = _UNITS[period.step]
    return Throughput(period.name, unit, _figures(buckets), draw_throughput(buckets))


def _buckets(period: Period, counts: Sequence[EndedCount], now: datetime) -> Iterator[Bucket]:
    first = period.floor(now) - period.starts
    starts = [first + period.length * n for n in range(period.steps)]
    found = {start: Bucket(start) for start in starts}
    for one in counts:
        if one.start in found:
            found[one.start] = _add(found[one.start], one)
    yield from found.values()


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
