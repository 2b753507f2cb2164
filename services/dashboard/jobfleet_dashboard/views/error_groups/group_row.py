"""One group of failures as a line of the list, with its sparkline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from jobfleet_contracts.credentials import masked_text
from jobfleet_contracts.error_group import OTHER, ErrorGroup
from jobfleet_protocol.reading.error_report import ErrorReport, bars_of
from jobfleet_protocol.reading.masking_turns import in_turns

SPARK_HEIGHT = 20
_BAR = 4


@dataclass(frozen=True, slots=True)
class SparkBar:
    """One bar, from the base up; ``height`` is at least 1 where anything failed."""

    x: int
    height: int


@dataclass(frozen=True, slots=True)
class GroupRow:
    """What a line shows.

    Attributes:
        job_type: empty where the group holds jobs of any type.
        is_other: it stands for the groups that are not counted separately, and has no page.
        share: percent of all failed jobs of the range.
    """

    group_id: str
    job_type: str
    error: str
    place: str
    message: str
    job_id: str
    jobs: int
    retried: int
    first_at: datetime
    last_at: datetime
    is_other: bool
    share: int
    bars: Sequence[SparkBar]
    spark_width: int


async def rows_of(report: ErrorReport) -> list[GroupRow]:
    """Return the lines of a report, most failed jobs first."""
    everything = sum(group.total.jobs for group in report.groups)
    row = partial(_row, report=report, everything=everything)
    return await in_turns(row, report.groups, lambda group: group.message)


def _row(group: ErrorGroup, report: ErrorReport, everything: int) -> GroupRow:
    total = group.total
    return GroupRow(
        group_id=group.key.group_id,
        job_type=group.key.job_type,
        error=group.key.error or "no error class",
        place=group.key.place,
        message=masked_text(group.message),
        job_id=group.job_id,
        jobs=total.jobs,
        retried=total.retried,
        first_at=group.first_at,
        last_at=group.last_at,
        is_other=group.key == OTHER,
        share=round(100 * total.jobs / everything) if everything else 0,
        bars=_bars(bars_of(group, report)),
        spark_width=report.range.bars * _BAR,
    )


def _bars(counts: Sequence[int]) -> list[SparkBar]:
    top = max(counts, default=0)
    return [
        SparkBar(x=place * _BAR, height=max(1, round(SPARK_HEIGHT * count / top)))
        for place, count in enumerate(counts)
        if count
    ]
