"""How long attempts waited and ran, as a trigger counted them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from itertools import groupby
from operator import itemgetter

from jobfleet_contracts.codec import format_time
from jobfleet_contracts.run_times import (
    Histogram,
    RunKind,
    RunTimes,
    SlowRun,
    TypeTimes,
    slowest_of_each_hour,
)

_TIMES = """
SELECT start, job_type, kind, bucket, runs FROM type_times
WHERE start >= ? ORDER BY start, job_type, kind, bucket
"""
_SLOWEST = """
SELECT duration_ms, job_id, sequence, job_name, job_type, attempt, kind, ended_at FROM slow_runs
WHERE hour >= ? AND ended_at >= ?
"""
_TEN_MINUTES, _HOUR = len("2026-01-31T09:4"), len("2026-01-31T09")


def read_run_times(connection: sqlite3.Connection, since: datetime) -> RunTimes:
    """Return the times since the ten minutes in which a moment lies."""
    begin = format_time(since)[:_TEN_MINUTES]
    types: list[TypeTimes] = []
    rows = connection.execute(_TIMES, (begin,))
    for (start, job_type), found in groupby(rows, itemgetter(0, 1)):
        with suppress(ValueError):  # a row edited by hand must not hide all others
            moment = datetime.fromisoformat(f"{start}0").replace(tzinfo=UTC)
            counts = {
                RunKind(kind): _histogram(each) for kind, each in groupby(found, itemgetter(2))
            }
            types.append(TypeTimes(job_type=job_type, start=moment, counts=counts))
    slowest: list[SlowRun] = []
    for duration_ms, job_id, sequence, name, job_type, attempt, kind, ended in connection.execute(
        _SLOWEST, (begin[:_HOUR], begin)
    ):
        with suppress(ValueError):
            run = SlowRun(
                duration_ms=duration_ms,
                job_id=job_id,
                sequence=sequence,
                job_name=name,
                job_type=job_type,
                attempt=attempt,
                kind=RunKind(kind),
                ended_at=datetime.fromisoformat(ended),
            )
            slowest.append(run)
    return RunTimes(types, slowest_of_each_hour(slowest))


def _histogram(rows: Iterable[tuple[str, str, str, int, int]]) -> Histogram:
    return {bucket: runs for _, _, _, bucket, runs in rows}
