"""The report on job types; only times that may have changed are read again."""

from __future__ import annotations

import asyncio
from datetime import datetime

from jobfleet_contracts.ports import Clock, JobIndexReader
from jobfleet_contracts.run_times import RunTimes, slowest_of_each_hour, step_of_time
from jobfleet_dashboard.ended_reader import LAG
from jobfleet_protocol.reading.type_report import TypeReport, day_begin, report_of

_FRESH_SECONDS = 5.0


class TypeReader:
    """Reads the index every five seconds at most, however many ask."""

    def __init__(self, *, reader: JobIndexReader, clock: Clock) -> None:
        self._reader = reader
        self._clock = clock
        self._lock = asyncio.Lock()
        self._times = RunTimes([], [])
        self._read_until: datetime | None = None
        self._read_at = float("-inf")
        self._report: TypeReport | None = None

    async def read(self) -> TypeReport:
        """Return the report.

        Raises:
            BackendUnavailable: the index cannot be read.
        """
        async with self._lock:
            if self._report is None or self._clock.boottime() - self._read_at >= _FRESH_SECONDS:
                now = self._clock.now()
                await self._refresh(now)
                self._report = report_of(self._times, now)
                self._read_at = self._clock.boottime()
            return self._report

    async def _refresh(self, now: datetime) -> None:
        oldest = since = day_begin(now)
        if self._read_until is not None:
            since = max(oldest, step_of_time(self._read_until - LAG))
        fresh = await self._reader.run_times(since=since)
        types = [each for each in self._times.types if oldest <= each.start < since]
        slowest = [run for run in self._times.slowest if run.ended_at >= oldest]
        self._times = RunTimes(
            [*types, *fresh.types], slowest_of_each_hour([*slowest, *fresh.slowest])
        )
        self._read_until = now
