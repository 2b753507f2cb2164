"""Counts, rates and durations of the fleet."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from jobfleet_contracts.event import Event
from jobfleet_contracts.index import EventQuery
from jobfleet_contracts.ports import Clock, JobIndexReader
from jobfleet_contracts.state import State

_ENDINGS = {
    State.COMPLETED: "Completed",
    State.FAILED: "Failed",
    State.TIMED_OUT: "TimedOut",
    State.CANCELLED: "Cancelled",
}
_SAMPLE = 1000
_FRESH_SECONDS = 2.0
_WINDOW = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class EndedJobs:
    """Jobs that ended in one state within the last hour, from the newest 1,000 of them.

    Attributes:
        count: how many were found.
        window_seconds: what they span: an hour, or less where more than 1,000 ended.
        mean_duration_ms: of their last attempts; ``None`` for none.
    """

    state: State
    count: int
    window_seconds: float
    mean_duration_ms: float | None

    @property
    def per_minute(self) -> float:
        """Rate over the window."""
        return round(self.count / max(self.window_seconds, 1.0) * 60, 3)


@dataclass(frozen=True, slots=True)
class Stats:
    """The fleet at one moment; ended jobs are counted over the last day at least."""

    counts: Mapping[State, int]
    ended: Sequence[EndedJobs]

    def to_json(self) -> list[dict[str, Any]]:
        """Return one item per state."""
        ended = {one.state: one for one in self.ended}
        return [_item(state, self.counts.get(state, 0), ended.get(state)) for state in State]


def _item(state: State, count: int, ended: EndedJobs | None) -> dict[str, Any]:
    return {
        "state": state.value,
        "count": count,
        "windowSeconds": None if ended is None else round(ended.window_seconds, 3),
        "endedInWindow": None if ended is None else ended.count,
        "perMinute": None if ended is None else ended.per_minute,
        "meanDurationMs": None if ended is None else ended.mean_duration_ms,
    }


class StatsReader:
    """Reads the index at most every two seconds, however many ask."""

    def __init__(self, *, reader: JobIndexReader, clock: Clock) -> None:
        self._reader = reader
        self._clock = clock
        self._lock = asyncio.Lock()
        self._stats: Stats | None = None
        self._read_at = float("-inf")

    async def read(self) -> Stats:
        """Return the stats; five small queries.

        Raises:
            BackendUnavailable: the index cannot be read.
        """
        async with self._lock:
            now = self._clock.boottime()
            if self._stats is None or now - self._read_at > _FRESH_SECONDS:
                counts = await self._reader.counts()
                ended = await asyncio.gather(*map(self._ended, _ENDINGS))
                self._stats = Stats(counts, ended)
                self._read_at = now
            return self._stats

    async def _ended(self, state: State) -> EndedJobs:
        now = self._clock.now()
        query = EventQuery(status=_ENDINGS[state], since=now - _WINDOW, limit=_SAMPLE)
        events = (await self._reader.events(query)).items
        cut = len(events) == _SAMPLE
        window = now - events[-1].occurred_at if cut else _WINDOW
        return EndedJobs(state, len(events), window.total_seconds(), _mean_duration(events))


def _mean_duration(events: Sequence[Event]) -> float | None:
    spans = [event.duration_ms for event in events if event.duration_ms is not None]
    return round(sum(spans) / len(spans), 1) if spans else None
