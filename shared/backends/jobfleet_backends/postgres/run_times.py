"""How long attempts waited and ran: counted with the trail, added up when they are read."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from itertools import groupby
from operator import itemgetter

from jobfleet_backends.postgres.batch import Fields, Row
from jobfleet_backends.postgres.database import Database
from jobfleet_contracts.codec import format_time, parse_time
from jobfleet_contracts.event import Event
from jobfleet_contracts.run_times import (
    MOST_SLOW_RUNS,
    MOST_TYPES,
    OTHER_TYPES,
    Histogram,
    RunKind,
    RunTimes,
    SlowRun,
    TypeTimes,
    is_run,
    slowest_of_each_hour,
    step_of_time,
    timing_of,
)

_TIMES = """
SELECT start, job_type, kind, bucket, sum(runs)::bigint FROM jobfleet.type_times
WHERE start >= %s GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
"""
_SLOWEST = """
SELECT duration_ms, job_id, sequence, job_name, job_type, attempt, kind, ended_at FROM (
    SELECT *, row_number() OVER (PARTITION BY floor(extract(epoch FROM ended_at) / 3600)
        ORDER BY duration_ms DESC, ended_at) AS place
    FROM jobfleet.slow_runs WHERE ended_at >= %s
) AS ranked WHERE place <= %s
"""


class TimeFields:
    """Names type, kind and bucket of each event that ends a wait, an attempt or a job.

    It marks the attempts that are among the slowest of the hour in this process. The fleet's 20
    slowest of the hour are among these.
    """

    def __init__(self) -> None:
        self._step: datetime | None = None
        self._types: set[str] = set()
        self._hour: datetime | None = None
        self._slowest: list[int] = []

    def fields(self, event: Event) -> Fields:
        """Return what the trail's statement counts the event by; nothing if it does not count."""
        timing = timing_of(event)
        if timing is None:
            return {}
        step = step_of_time(event.occurred_at)
        if step != self._step:
            self._step, self._types = step, set()
        if len(self._types) < MOST_TYPES:
            self._types.add(event.facts.job_type)
        job_type = event.facts.job_type
        return {
            "timed_start": format_time(step),
            "timed_type": job_type if job_type in self._types else OTHER_TYPES,
            "timed_kind": timing.kind.value,
            "timed_bucket": timing.bucket,
            "slow": is_run(timing) and self._is_slow(event.occurred_at, event.duration_ms or 0),
        }

    def _is_slow(self, moment: datetime, duration_ms: int) -> bool:
        hour = moment.replace(minute=0, second=0, microsecond=0)
        if hour != self._hour:
            self._hour, self._slowest = hour, []
        if len(self._slowest) >= MOST_SLOW_RUNS and duration_ms <= self._slowest[-1]:
            return False
        # An event whose insert is refused stays in this list: then less is marked, in this hour.
        self._slowest = sorted([*self._slowest, duration_ms], reverse=True)[:MOST_SLOW_RUNS]
        return True


async def read_run_times(database: Database, since: datetime) -> RunTimes:
    """Return the times since the ten minutes in which a moment lies."""
    begin = format_time(step_of_time(since))
    types: list[TypeTimes] = []
    rows = await database.fetch(_TIMES, begin)
    for (start, job_type), found in groupby(rows, itemgetter(0, 1)):
        with suppress(ValueError):  # a row edited by hand must not hide all others
            counts = {
                RunKind(kind): _histogram(each) for kind, each in groupby(found, itemgetter(2))
            }
            types.append(TypeTimes(job_type=job_type, start=parse_time(start), counts=counts))
    slowest: list[SlowRun] = []
    for row in await database.fetch(_SLOWEST, begin, MOST_SLOW_RUNS):
        with suppress(ValueError):
            slowest.append(_run(row))
    return RunTimes(types, slowest_of_each_hour(slowest))


def _histogram(rows: Iterable[Row]) -> Histogram:
    return {bucket: runs for _, _, _, bucket, runs in rows}


def _run(row: Row) -> SlowRun:
    duration_ms, job_id, sequence, job_name, job_type, attempt, kind, ended_at = row
    return SlowRun(
        duration_ms=duration_ms,
        job_id=job_id,
        sequence=sequence,
        job_name=job_name,
        job_type=job_type,
        attempt=attempt,
        kind=RunKind(kind),
        ended_at=parse_time(ended_at),
    )
