"""The chart over a list of events: what ended in its range, and in the same time a day before."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import MINYEAR, datetime, timedelta

from jobfleet_contracts.index import TimeStep
from jobfleet_contracts.ports import JobIndexReader
from jobfleet_dashboard.ended_reader import A_DAY
from jobfleet_dashboard.views.endings_chart import EndingsChart, buckets_of, draw_endings

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
MOST_MINUTES = timedelta(hours=3)
MOST_HOURS = timedelta(days=8)


@dataclass(frozen=True, slots=True)
class RangeChart:
    """The chart of a range.

    Attributes:
        unit: time of one bar: ``min`` or ``h``.
    """

    chart: EndingsChart
    unit: str


def last_part(
    since: datetime | None, until: datetime | None, *, now: datetime
) -> tuple[datetime, datetime] | None:
    """Return the last part of a range that is too long for a chart; ``None`` for a shorter one."""
    end = min(until or now, now)
    if since is None or end - since <= MOST_HOURS:
        return None
    return end - MOST_HOURS, end


async def read_chart(
    reader: JobIndexReader, since: datetime | None, until: datetime | None, *, now: datetime
) -> RangeChart | None:
    """Return the chart of a range, by minutes up to three hours and by hours up to eight days.

    An open range begins an hour before its end, or ends now. A longer one has no chart.

    Raises:
        BackendUnavailable: the index cannot be read.
    """
    if min(since or now, until or now).year == MINYEAR:  # there is no day before
        return None
    end = min(until or now, now)
    begin = end - HOUR if since is None else min(since, end)
    if last_part(since, until, now=now) is not None:
        return None
    step: TimeStep = "minute" if end - begin <= MOST_MINUTES else "hour"
    length = MINUTE if step == "minute" else HOUR
    first = _floor(begin, step)
    steps = max(1, -((first - end) // length))
    last = first + length * steps
    counts, before = await asyncio.gather(
        reader.ended(since=first, until=last, step=step),
        reader.ended(since=first - A_DAY, until=last - A_DAY, step=step),
    )
    past = buckets_of(first - A_DAY, length, steps, before)
    chart = draw_endings(buckets_of(first, length, steps, counts), length, before=past)
    return RangeChart(chart, "min" if step == "minute" else "h")


def _floor(moment: datetime, step: TimeStep) -> datetime:
    whole = moment.replace(second=0, microsecond=0)
    return whole if step == "minute" else whole.replace(minute=0)
