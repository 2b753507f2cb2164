"""What failed and how often, by groups, for one of four spans of time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from jobfleet_contracts.codec import format_optional_time, format_time
from jobfleet_contracts.error_group import MOST_GROUPS, ErrorGroup, shortened
from jobfleet_contracts.errors import InvalidRequest
from jobfleet_contracts.index import TimeStep
from jobfleet_contracts.ports import Clock, JobIndexReader


@dataclass(frozen=True, slots=True)
class ErrorRange:
    """A span that ends now.

    Attributes:
        bars: how many bars a sparkline has; each stands for the same number of steps.
    """

    name: str
    title: str
    step: TimeStep
    length: timedelta
    steps: int
    bars: int

    def begin(self, now: datetime) -> datetime:
        """Return the beginning of its first step; ``now`` lies in the last."""
        whole = now.replace(second=0, microsecond=0)
        if self.step == "hour":
            whole = whole.replace(minute=0)
        return whole - self.length * (self.steps - 1)


RANGES: Mapping[str, ErrorRange] = {
    each.name: each
    for each in (
        ErrorRange("15m", "15 min", "minute", timedelta(minutes=1), 15, 15),
        ErrorRange("1h", "1 hour", "minute", timedelta(minutes=1), 60, 30),
        ErrorRange("24h", "24 hours", "hour", timedelta(hours=1), 24, 24),
        ErrorRange("7d", "7 days", "hour", timedelta(hours=1), 168, 28),
    )
}
DEFAULT_RANGE = "1h"
KEPT = timedelta(days=8)
"""Counts older than the longest range and a day may be removed from the index."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorReport:
    """The groups of a range, most failed jobs first.

    Attributes:
        counted_back_to: where a bounded look has stopped; ``None`` if it saw the whole range.
    """

    range: ErrorRange
    since: datetime
    groups: Sequence[ErrorGroup]
    counted_back_to: datetime | None

    def to_json(self) -> dict[str, Any]:
        """Return the shape of ``GET /api/errors``."""
        return {
            "range": self.range.name,
            "since": format_time(self.since),
            "countedBackTo": format_optional_time(self.counted_back_to),
            "items": [group.to_json() for group in self.groups],
        }


def error_range(name: str | None) -> ErrorRange:
    """Return the range of this name, one hour for ``None``.

    Raises:
        InvalidRequest: there is no such range.
    """
    try:
        return RANGES[name or DEFAULT_RANGE]
    except KeyError:
        known = ", ".join(RANGES)
        raise InvalidRequest(f"range: must be one of {known}", field="range") from None


async def read_errors(
    reader: JobIndexReader, clock: Clock, chosen: ErrorRange, *, job_type: str | None = None
) -> ErrorReport:
    """Return the groups of a range; beyond the 200 largest, the last one counts all others.

    Args:
        job_type: only groups of this type, and those of several types: these may hold some.

    Raises:
        BackendUnavailable: the index cannot be read.
    """
    since = chosen.begin(clock.now())
    summary = await reader.errors(since=since, step=chosen.step)
    groups = [
        one for one in summary.groups if job_type is None or one.key.job_type in ("", job_type)
    ]
    return ErrorReport(
        range=chosen,
        since=since,
        groups=shortened(groups, MOST_GROUPS),
        counted_back_to=summary.counted_back_to,
    )


def bars_of(group: ErrorGroup, report: ErrorReport) -> list[int]:
    """Return the failures of each bar of a sparkline, oldest first."""
    chosen = report.range
    bars = [0] * chosen.bars
    per_bar = chosen.length * chosen.steps / chosen.bars
    for start, count in group.steps.items():
        place = (start - report.since) // per_bar
        if 0 <= place < chosen.bars:
            bars[place] += count.jobs + count.retried
    return bars
