"""How many jobs this process saw ending, by hour and by minute, as rows of the index.

A row per hour, shard and writer: columns ``completed``, ``completedTimed`` and ``completedMs`` (and
so for each state) for the hour, and ``Minutes`` with the same three numbers for each minute, as
JSON: ``{"05": {"completed": [3, 3, 900]}}``. The same row holds how long attempts waited and ran,
see ``type_counter``: another row in each batch would cost the writers more than a longer one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from azure.data.tables import EdmType, EntityProperty

from jobfleet_backends.azure.http.table_reader import Query
from jobfleet_backends.azure.index.index_table import Shards
from jobfleet_backends.azure.index.type_counter import TypeHour
from jobfleet_contracts.codec import decode, encode_text
from jobfleet_contracts.event import Event
from jobfleet_contracts.index import EndedCount
from jobfleet_contracts.run_times import timing_of
from jobfleet_contracts.state import TERMINAL, State, Status

_FIRST, _END = "c-", "c."
_FORM = f"{_FIRST}%Y%m%d%H"
_COUNTERS = "PartitionKey eq @shard and RowKey ge @first and RowKey lt @end"
_ENDINGS = frozenset({Status.COMPLETED, Status.FAILED, Status.CANCELLED, Status.TIMED_OUT})
_REMEMBERED_EVENTS = 20_000
_REMEMBERED_HOURS = 48

_Numbers = list[int]
"""Jobs, those of them that ended an attempt, and the milliseconds of these attempts."""


@dataclass(slots=True)
class _Hour:
    states: dict[str, _Numbers] = field(default_factory=dict)
    minutes: dict[str, dict[str, _Numbers]] = field(default_factory=dict)
    types: TypeHour = field(default_factory=TypeHour)

    def add(self, event: Event) -> dict[str, Any]:
        """Count an event; return the columns that it changes."""
        changed: dict[str, Any] = {}
        if event.kind in _ENDINGS:
            self._end(event)
            changed = self._columns()
        if (timing := timing_of(event)) is not None:
            changed |= self.types.add(event, timing)
        return changed

    def _end(self, event: Event) -> None:
        minute = self.minutes.setdefault(event.occurred_at.strftime("%M"), {})
        for known in (self.states, minute):
            numbers = known.setdefault(event.after.state.value, [0, 0, 0])
            numbers[0] += 1
            numbers[1] += event.duration_ms is not None
            numbers[2] += event.duration_ms or 0

    def _columns(self) -> dict[str, Any]:
        columns: dict[str, Any] = {"Minutes": encode_text(self.minutes)}
        for state, (jobs, timed, duration_ms) in self.states.items():
            columns |= {state: jobs, f"{state}Timed": timed}
            columns[f"{state}Ms"] = EntityProperty(duration_ms, EdmType.INT64)
        return columns


class EndedCounter:
    """Keeps whole counts. Each writer has rows of its own: no read, and safe to repeat.

    Args:
        before: this counter leaves later endings out.
    """

    def __init__(self, *, shards: Shards, before: datetime | None = None) -> None:
        self._shards = shards
        self._before = before
        self._writer_id = uuid4().hex[:12]
        self._known: dict[str, None] = {}
        self._hours: dict[tuple[str, str], _Hour] = {}

    def count(self, event: Event) -> Iterator[dict[str, Any]]:
        """Yield columns to merge into a row; nothing for events that do not count, and repetitions.

        A column holds the whole count, so to merge it again changes nothing.
        """
        counts = event.kind in _ENDINGS or timing_of(event) is not None
        if not counts or event.event_id in self._known:
            return
        if self._before is not None and event.occurred_at >= self._before:
            return
        _make_room(self._known, _REMEMBERED_EVENTS)
        self._known[event.event_id] = None
        place = self._shards.of(event.job_id), _first_counter(event.occurred_at)
        hour = self._hour(place)
        yield {
            "PartitionKey": place[0],
            "RowKey": f"{place[1]}-{self._writer_id}",
            **hour.add(event),
        }

    def _hour(self, place: tuple[str, str]) -> _Hour:
        """Return the counts of an hour; an hour that was forgotten goes on under another name."""
        if place not in self._hours:
            if len(self._hours) >= _REMEMBERED_HOURS * self._shards.count:
                self._hours.clear()
                self._writer_id = uuid4().hex[:12]
            self._hours[place] = _Hour()
        return self._hours[place]


def counters(
    shard: str,
    *,
    since: datetime | None = None,
    end: datetime | None = None,
    columns: tuple[str, ...] = ("RowKey",),
) -> Query:
    """Return the question for all writers' rows from one moment's hour to another's."""
    first = _FIRST if since is None else _first_counter(since)
    last = _END if end is None else _first_counter(end)
    return Query(_COUNTERS, {"shard": shard, "first": first, "end": last}, columns)


def _first_counter(moment: datetime) -> str:
    """Return how the row keys of the hour's counters begin; later hours follow."""
    return moment.astimezone(UTC).strftime(_FORM)


def read_hour(entity: Mapping[str, Any]) -> Sequence[EndedCount]:
    """Return one writer's counts of the hour."""
    start = hour_of_counter(entity)
    return [
        _count(
            start,
            state.value,
            [
                entity[state.value],
                entity.get(f"{state.value}Timed", 0),
                entity.get(f"{state.value}Ms", 0),
            ],
        )
        for state in TERMINAL
        if state.value in entity
    ]


def read_minutes(entity: Mapping[str, Any]) -> Sequence[EndedCount]:
    """Return one writer's counts of each minute of the hour."""
    start = hour_of_counter(entity)
    minutes: Mapping[str, Mapping[str, _Numbers]] = decode(entity.get("Minutes", "{}"))
    return [
        _count(start + timedelta(minutes=int(minute)), state, numbers)
        for minute, states in minutes.items()
        for state, numbers in states.items()
    ]


def hour_of_counter(entity: Mapping[str, Any]) -> datetime:
    """Return the hour that a row counts.

    Raises:
        ValueError: its key names none.
    """
    begin = str(entity["RowKey"])[: len("c-2026013109")]
    return datetime.strptime(f"{begin}+0000", f"{_FORM}%z")


def _count(start: datetime, state: str, numbers: _Numbers) -> EndedCount:
    jobs, timed, duration_ms = map(int, numbers)
    return EndedCount(start, State(state), jobs, timed, duration_ms)


def _make_room(remembered: dict[Any, Any], most: int) -> None:
    """Forget the oldest."""
    while len(remembered) >= most:
        remembered.pop(next(iter(remembered)))
