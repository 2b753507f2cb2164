"""Which jobs are slow: per type how many ended, failed, waited and ran how long."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from jobfleet_contracts.codec import format_time
from jobfleet_contracts.ports import Clock, JobIndexReader
from jobfleet_contracts.run_times import (
    ENDINGS,
    UNTIMED,
    Histogram,
    RunKind,
    RunTimes,
    SlowRun,
    TypeTimes,
    added,
    percentile,
    slowest_of,
    step_of_time,
)

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
_BAD = (RunKind.FAILED, RunKind.TIMED_OUT)
_RUNS = tuple(kind for kind in RunKind if kind is not RunKind.WAITED)


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Of ``count`` durations, in milliseconds within 5 %; ``None`` if there is none."""

    count: int
    p50: int | None
    p95: int | None
    p99: int | None

    @classmethod
    def of(cls, histogram: Histogram) -> Percentiles:
        """Read them from a histogram."""
        count = sum(runs for bucket, runs in histogram.items() if bucket != UNTIMED)
        p50, p95, p99 = (percentile(histogram, share) for share in (0.5, 0.95, 0.99))
        return cls(count, p50, p95, p99)

    def to_json(self) -> dict[str, Any]:
        """Return the form of REST API and command line."""
        return {"count": self.count, "p50Ms": self.p50, "p95Ms": self.p95, "p99Ms": self.p99}


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeFigures:
    """What jobs of one type did within a span.

    Attributes:
        ended: jobs that ended, cancelled ones too.
        bad: those of them that failed or timed out.
        retried: failed attempts that another one follows.
        waiting: time of each attempt from when it was due to its start.
        running: time of each attempt that ended, in whatever way.
    """

    ended: int
    ended_per_minute: float
    bad: int
    retried: int
    waiting: Percentiles
    running: Percentiles

    @property
    def failure_share(self) -> float | None:
        """The part of ended jobs that failed or timed out; ``None`` if none has ended."""
        return self.bad / self.ended if self.ended else None

    def to_json(self) -> dict[str, Any]:
        """Return the form of REST API and command line."""
        share = self.failure_share
        return {
            "ended": self.ended,
            "endedPerMinute": self.ended_per_minute,
            "failed": self.bad,
            "failureShare": None if share is None else round(share, 4),
            "retried": self.retried,
            "waiting": self.waiting.to_json(),
            "running": self.running.to_json(),
        }


_NOTHING = Percentiles(0, None, None, None)
NO_FIGURES = TypeFigures(
    ended=0, ended_per_minute=0.0, bad=0, retried=0, waiting=_NOTHING, running=_NOTHING
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeReport:
    """Figures by type of the last hour and the last day, and the day's slowest attempts.

    Both spans begin at full ten minutes, so the hour is 60 to 70 minutes long.
    """

    hour_since: datetime
    day_since: datetime
    hour: Mapping[str, TypeFigures]
    day: Mapping[str, TypeFigures]
    slowest: Sequence[SlowRun]

    @property
    def types(self) -> frozenset[str]:
        """The types that did anything."""
        return frozenset(self.day)

    def to_json(self, job_type: str) -> dict[str, Any]:
        """Return one type's figures as REST API and command line show them."""
        return {
            "lastHour": self.hour.get(job_type, NO_FIGURES).to_json(),
            "lastDay": self.day.get(job_type, NO_FIGURES).to_json(),
        }

    def spans_json(self) -> dict[str, Any]:
        """Return what concerns no single type."""
        return {
            "hourSince": format_time(self.hour_since),
            "daySince": format_time(self.day_since),
            "slowest": [run.to_json() for run in self.slowest],
        }


def day_begin(now: datetime) -> datetime:
    """Return where the last day begins: the earliest moment that a report needs."""
    return step_of_time(now) - DAY


def report_of(times: RunTimes, now: datetime) -> TypeReport:
    """Make the report from what the index holds since ``day_begin``."""
    hour_since, day_since = step_of_time(now) - HOUR, day_begin(now)
    return TypeReport(
        hour_since=hour_since,
        day_since=day_since,
        hour=_figures(times.types, hour_since, now),
        day=_figures(times.types, day_since, now),
        slowest=slowest_of(run for run in times.slowest if run.ended_at >= day_since),
    )


async def read_types(reader: JobIndexReader, clock: Clock) -> TypeReport:
    """Read the index and make the report.

    Raises:
        BackendUnavailable: the index cannot be read.
    """
    now = clock.now()
    return report_of(await reader.run_times(since=day_begin(now)), now)


def _figures(found: Iterable[TypeTimes], since: datetime, now: datetime) -> dict[str, TypeFigures]:
    by_type: dict[str, list[TypeTimes]] = {}
    for each in found:
        if each.start >= since:
            by_type.setdefault(each.job_type, []).append(each)
    minutes = max((now - since) / timedelta(minutes=1), 1.0)
    return {name: _of_type(each, minutes) for name, each in by_type.items()}


def _of_type(found: Sequence[TypeTimes], minutes: float) -> TypeFigures:
    by_kind = {kind: added(each.counts.get(kind, {}) for each in found) for kind in RunKind}
    counts = {kind: sum(histogram.values()) for kind, histogram in by_kind.items()}
    ended = sum(counts[kind] for kind in ENDINGS)
    return TypeFigures(
        ended=ended,
        ended_per_minute=round(ended / minutes, 3),
        bad=sum(counts[kind] for kind in _BAD),
        retried=counts[RunKind.RETRIED],
        waiting=Percentiles.of(by_kind[RunKind.WAITED]),
        running=Percentiles.of(added(by_kind[kind] for kind in _RUNS)),
    )
