"""Counts, rates and durations of the fleet."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from jobfleet_contracts.index import EndedCount
from jobfleet_contracts.state import TERMINAL, State
from jobfleet_dashboard.api.documents import StateDocument, StateList
from jobfleet_dashboard.census_reader import CensusReader
from jobfleet_dashboard.ended_reader import DAY, HOUR, EndedReader

_WINDOW_SECONDS = 3600.0
_MINUTES = 60


@dataclass(frozen=True, slots=True)
class EndedJobs:
    """Jobs that ended in one state within a span of time.

    Attributes:
        mean_duration_ms: mean of their last attempts; ``None`` for none.
    """

    jobs: int
    mean_duration_ms: float | None

    @classmethod
    def of(cls, counts: Iterable[EndedCount], state: State) -> EndedJobs:
        """Add up the counts of a state."""
        found = [one for one in counts if one.state is state]
        timed = sum(one.timed for one in found)
        total = sum(one.duration_ms for one in found)
        return cls(sum(one.jobs for one in found), round(total / timed, 1) if timed else None)


@dataclass(frozen=True, slots=True)
class Stats:
    """The fleet at one moment; ended jobs are counted over the last day at least."""

    counts: Mapping[State, int]
    hour: Sequence[EndedCount]
    day: Sequence[EndedCount]

    def document(self) -> StateList:
        """Return one item per state."""
        return StateList(items=[self._item(state) for state in State])

    def _item(self, state: State) -> StateDocument:
        ended = EndedJobs.of(self.hour, state) if state in TERMINAL else None
        of_day = EndedJobs.of(self.day, state) if state in TERMINAL else None
        return StateDocument(
            state=state,
            count=self.counts.get(state, 0),
            window_seconds=None if ended is None else _WINDOW_SECONDS,
            ended_in_window=None if ended is None else ended.jobs,
            per_minute=None if ended is None else round(ended.jobs / _MINUTES, 3),
            mean_duration_ms=None if ended is None else ended.mean_duration_ms,
            ended_in_day=None if of_day is None else of_day.jobs,
            mean_duration_ms_in_day=None if of_day is None else of_day.mean_duration_ms,
        )


class StatsReader:
    """Puts together what others keep; costs nothing of its own."""

    def __init__(self, *, census: CensusReader, ended: EndedReader) -> None:
        self._census = census
        self._ended = ended

    async def read(self) -> Stats:
        """Return the stats.

        Raises:
            BackendUnavailable: the index cannot be read.
        """
        census = await self._census.read()
        return Stats(census.counts, await self._ended.read(HOUR), await self._ended.read(DAY))
