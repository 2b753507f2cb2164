"""How long attempts of each job type waited and ran, counted in histograms that add up.

A histogram counts whole milliseconds in buckets. A bucket is at most 9 % wide, so a percentile
read from it lies within 5 % of the exact one; below 20 ms it is exact.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import accumulate
from math import ceil
from typing import Any, NamedTuple

from jobfleet_contracts.codec import format_time
from jobfleet_contracts.event import Event
from jobfleet_contracts.state import State, Status

MOST_TYPES = 50
"""Types that one writer counts apart in ten minutes; what comes beyond counts as ``OTHER_TYPES``.

A submitter can invent types, so their number has to have a bound.
"""
OTHER_TYPES = ""
MOST_SLOW_RUNS = 20
"""The slowest runs that one writer keeps for an hour, and that a report shows."""
STEP = timedelta(minutes=10)
UNTIMED = -1
"""Bucket of an ending without a duration: a job that was cancelled while it waited."""

_LONGEST_MS = 30 * 24 * 60 * 60 * 1000


def _bounds() -> Iterator[int]:
    least = 0
    while least <= _LONGEST_MS:
        yield least
        least = max(least + 1, int(least * 1.09))


LEAST_MS: tuple[int, ...] = tuple(_bounds())
"""The least duration of each bucket. The last bucket holds all of more than 30 days too."""

Histogram = Mapping[int, int]
"""How many durations lie in each bucket; ``UNTIMED`` counts those that are not known."""


class RunKind(StrEnum):
    """What was counted: a wait that ended with a start, or how an attempt or a job ended."""

    WAITED = "waited"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TIMED_OUT = "timedOut"
    RETRIED = "retried"


ENDINGS = frozenset(
    {RunKind.COMPLETED, RunKind.FAILED, RunKind.CANCELLED, RunKind.TIMED_OUT},
)
"""Kinds that end a job; a job that was redriven counts with each of its endings."""

_TIMED = frozenset(
    {
        Status.STARTED,
        Status.ATTEMPT_FAILED,
        Status.COMPLETED,
        Status.FAILED,
        Status.CANCELLED,
        Status.TIMED_OUT,
    }
)
_KINDS = {
    State.COMPLETED: RunKind.COMPLETED,
    State.FAILED: RunKind.FAILED,
    State.CANCELLED: RunKind.CANCELLED,
    State.TIMED_OUT: RunKind.TIMED_OUT,
}


class Timing(NamedTuple):
    """What one event adds to the histograms of its type."""

    kind: RunKind
    bucket: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeTimes:
    """What one type did within one step of time.

    Attributes:
        job_type: ``OTHER_TYPES`` for all types beyond ``MOST_TYPES``.
        start: beginning of the ten minutes.
    """

    job_type: str
    start: datetime
    counts: Mapping[RunKind, Histogram]


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowRun:
    """One attempt among the slowest."""

    duration_ms: int
    job_id: str
    sequence: int
    job_name: str
    job_type: str
    attempt: int
    kind: RunKind
    ended_at: datetime

    @classmethod
    def of(cls, event: Event, kind: RunKind) -> SlowRun:
        """Return the attempt that an event with a duration ends."""
        return cls(
            duration_ms=event.duration_ms or 0,
            job_id=event.job_id,
            sequence=event.sequence,
            job_name=event.facts.job_name,
            job_type=event.facts.job_type,
            attempt=event.after.attempt,
            kind=kind,
            ended_at=event.occurred_at,
        )

    def to_json(self) -> dict[str, Any]:
        """Return the run as REST API and command line show it."""
        return {
            "jobId": self.job_id,
            "jobName": self.job_name,
            "type": self.job_type,
            "attempt": self.attempt,
            "ended": self.kind.value,
            "endedAt": format_time(self.ended_at),
            "durationMs": self.duration_ms,
        }


@dataclass(frozen=True, slots=True)
class RunTimes:
    """What a span of time holds.

    Attributes:
        types: per type and step, in no order.
        slowest: the slowest attempts of each hour, slowest first.
    """

    types: Sequence[TypeTimes]
    slowest: Sequence[SlowRun]


def bucket_of(duration_ms: int) -> int:
    """Return the bucket of a duration; a negative one counts as 0."""
    return bisect_right(LEAST_MS, max(0, duration_ms)) - 1


def timing_of(event: Event) -> Timing | None:
    """Return what an event adds, ``None`` if it ends neither a wait nor an attempt nor a job.

    A start whose wait is not known adds nothing. A tombstone stands for an ending that was counted
    when it happened.
    """
    if not event.is_readable or event.kind not in _TIMED:
        return None
    if "tombstone" in event.data or event.sequence == 1:
        return None
    if event.kind is Status.STARTED:
        known = event.duration_ms is not None
        return Timing(RunKind.WAITED, bucket_of(event.duration_ms or 0)) if known else None
    kind = _KINDS.get(event.after.state, RunKind.RETRIED)
    bucket = UNTIMED if event.duration_ms is None else bucket_of(event.duration_ms)
    return Timing(kind, bucket)


def is_run(timing: Timing) -> bool:
    """Whether it tells how long an attempt ran."""
    return timing.kind is not RunKind.WAITED and timing.bucket != UNTIMED


def step_of_time(moment: datetime) -> datetime:
    """Return the beginning of the ten minutes in which a moment lies."""
    return moment.replace(minute=moment.minute // 10 * 10, second=0, microsecond=0)


def added(histograms: Iterable[Histogram]) -> Histogram:
    """Add histograms up."""
    total: Counter[int] = Counter()
    for histogram in histograms:
        total.update(histogram)
    return total


def merged_times(times: Iterable[TypeTimes]) -> list[TypeTimes]:
    """Add up what several writers tell of the same type and step."""
    found: dict[tuple[datetime, str], list[TypeTimes]] = {}
    for each in times:
        found.setdefault((each.start, each.job_type), []).append(each)
    return [
        each[0] if len(each) == 1 else TypeTimes(job_type=name, start=start, counts=_sum(each))
        for (start, name), each in found.items()
    ]


def percentile(histogram: Histogram, share: float) -> int | None:
    """Return the duration in milliseconds that ``share`` of all do not exceed, within 5 %.

    Returns:
        ``None`` if no duration is known.
    """
    known = sorted(bucket for bucket, runs in histogram.items() if bucket != UNTIMED and runs > 0)
    sums = list(accumulate(histogram[bucket] for bucket in known))
    if not sums:
        return None
    rank = max(1, ceil(share * sums[-1]))
    return _middle(known[next(place for place, upto in enumerate(sums) if upto >= rank)])


def slowest_of(runs: Iterable[SlowRun], most: int = MOST_SLOW_RUNS) -> list[SlowRun]:
    """Return the slowest, each attempt once."""
    found = {(run.job_id, run.sequence): run for run in runs}
    return sorted(found.values(), key=_by_slowness)[:most]


def slowest_of_each_hour(runs: Iterable[SlowRun]) -> list[SlowRun]:
    """Return the slowest of each hour, slowest first."""
    hours: dict[datetime, list[SlowRun]] = {}
    for run in runs:
        hour = run.ended_at.replace(minute=0, second=0, microsecond=0)
        hours.setdefault(hour, []).append(run)
    kept = [run for each in hours.values() for run in slowest_of(each)]
    return sorted(kept, key=_by_slowness)


def _sum(times: Sequence[TypeTimes]) -> dict[RunKind, Histogram]:
    kinds = {kind for each in times for kind in each.counts}
    return {kind: added(each.counts.get(kind, {}) for each in times) for kind in kinds}


def _by_slowness(run: SlowRun) -> tuple[int, datetime, str, int]:
    return -run.duration_ms, run.ended_at, run.job_id, run.sequence


def _middle(bucket: int) -> int:
    last = len(LEAST_MS) - 1
    least = LEAST_MS[min(bucket, last)]
    return least if bucket >= last else (least + LEAST_MS[bucket + 1] - 1) // 2
