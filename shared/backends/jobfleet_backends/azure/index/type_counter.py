"""How long attempts waited and ran, as columns of the rows that count endings.

``Types0`` to ``Types5`` hold ten minutes of the hour each, as JSON: by type and by kind of
``RunKind`` a histogram, as its lowest bucket and the count of each bucket from there on:
``{"crm.sync": {"waited": [3, 7, 0, 1]}}``. ``Slowest`` holds the slowest attempts of the hour. A
batch carries only the columns that changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from jobfleet_backends.azure.http.table_reader import Query
from jobfleet_contracts.codec import decode, encode_text, format_time, parse_time
from jobfleet_contracts.event import Event
from jobfleet_contracts.run_times import (
    MOST_SLOW_RUNS,
    MOST_TYPES,
    OTHER_TYPES,
    STEP,
    Histogram,
    RunKind,
    SlowRun,
    Timing,
    TypeTimes,
    added,
    is_run,
    slowest_of,
)

MOST_CHARACTERS = 30_000
"""Longest column; the table allows 32,768. Beyond it the types of its ten minutes count as one."""
TIMES_COLUMNS = tuple(f"Types{number}" for number in range(6))
SLOWEST_COLUMN = "Slowest"
NO_TIMES = dict.fromkeys((*TIMES_COLUMNS, SLOWEST_COLUMN), "")
"""Merged into a row, this removes what it says about types."""


@dataclass(slots=True)
class _Kinds:
    """The histograms of one type, with their JSON, which is made anew only for what changed."""

    histograms: dict[RunKind, Histogram] = field(default_factory=dict)
    text: str = "{}"

    def add(self, kind: RunKind, more: Histogram) -> None:
        self.histograms[kind] = added((self.histograms.get(kind, {}), more))
        self.text = encode_text({k.value: _dense(each) for k, each in self.histograms.items()})


@dataclass(slots=True)
class _TenMinutes:
    types: dict[str, _Kinds] = field(default_factory=dict)
    is_full: bool = False

    def add(self, job_type: str, timing: Timing) -> None:
        self.is_full = self.is_full or len(self.types) >= MOST_TYPES
        if job_type not in self.types:
            job_type = OTHER_TYPES if self.is_full else job_type
        self.types.setdefault(job_type, _Kinds()).add(timing.kind, {timing.bucket: 1})
        if len(self.text()) > MOST_CHARACTERS:
            self._merge()

    def text(self) -> str:
        return f"{{{','.join(f'{encode_text(name)}:{t.text}' for name, t in self.types.items())}}}"

    def _merge(self) -> None:
        others = _Kinds()
        for kinds in self.types.values():
            for kind, histogram in kinds.histograms.items():
                others.add(kind, histogram)
        self.types, self.is_full = {OTHER_TYPES: others}, True


@dataclass(slots=True)
class TypeHour:
    """What one writer counts in one hour and shard."""

    steps: dict[str, _TenMinutes] = field(default_factory=dict)
    slowest: list[SlowRun] = field(default_factory=list)

    def add(self, event: Event, timing: Timing) -> dict[str, Any]:
        """Count an event; return the columns that it changes."""
        name = TIMES_COLUMNS[event.occurred_at.minute // 10]
        step = self.steps.setdefault(name, _TenMinutes())
        step.add(event.facts.job_type, timing)
        return {name: step.text(), **self._slow(event, timing)}

    def _slow(self, event: Event, timing: Timing) -> dict[str, str]:
        if not is_run(timing):
            return {}
        full = len(self.slowest) >= MOST_SLOW_RUNS
        if full and (event.duration_ms or 0) <= self.slowest[-1].duration_ms:
            return {}
        self.slowest = slowest_of([*self.slowest, SlowRun.of(event, timing.kind)])
        return {SLOWEST_COLUMN: encode_text([_run_fields(run) for run in self.slowest])}


def with_times(query: Query) -> Query:
    """Narrow a question for counted endings to rows that say something about types."""
    condition = " or ".join(f"{column} gt ''" for column in TIMES_COLUMNS)
    return replace(query, where=f"{query.where} and ( {condition} )")


def read_types(entity: Mapping[str, Any], hour: datetime) -> Iterator[TypeTimes]:
    """Yield what one writer counted in an hour."""
    for number, name in enumerate(TIMES_COLUMNS):
        types: Mapping[str, Mapping[str, Sequence[int]]] = decode(entity.get(name) or "{}")
        for job_type, kinds in types.items():
            yield TypeTimes(
                job_type=job_type,
                start=hour + STEP * number,
                counts={RunKind(kind): _histogram(numbers) for kind, numbers in kinds.items()},
            )


def read_slowest(entity: Mapping[str, Any]) -> list[SlowRun]:
    """Return the slowest attempts that one writer saw in an hour."""
    found = decode(entity.get(SLOWEST_COLUMN) or "[]")
    return [
        SlowRun(
            duration_ms=int(duration_ms),
            job_id=job_id,
            sequence=int(sequence),
            job_name=job_name,
            job_type=job_type,
            attempt=int(attempt),
            kind=RunKind(kind),
            ended_at=parse_time(ended_at),
        )
        for duration_ms, job_id, sequence, job_name, job_type, attempt, kind, ended_at in found
    ]


def _dense(histogram: Histogram) -> list[int]:
    lowest, highest = min(histogram), max(histogram)
    return [lowest, *(histogram.get(bucket, 0) for bucket in range(lowest, highest + 1))]


def _histogram(numbers: Sequence[int]) -> Histogram:
    lowest, *counts = numbers
    return {int(lowest) + place: int(count) for place, count in enumerate(counts) if count}


def _run_fields(run: SlowRun) -> list[Any]:
    return [
        run.duration_ms,
        run.job_id,
        run.sequence,
        run.job_name,
        run.job_type,
        run.attempt,
        run.kind.value,
        format_time(run.ended_at),
    ]
