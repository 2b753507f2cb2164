"""How many failures this process saw, by what failed where, as rows of the index.

A row per hour, writer and group, ``e-<inverted hour>-<writer>-<group>``, in the partition of the
group: columns ``JobType``, ``Error``, ``Place``, ``Message`` and ``JobId`` of the last failure,
``FirstAt``, ``LastAt``, ``Jobs``, ``Retried``, and ``Minutes`` with the two numbers of each minute
as JSON. Each writer has rows of its own, so no read precedes a write and repeats are harmless.

Beside it a row for each job that ended in a group, ``f-<group>-<inverted microseconds>-<job>-
<inverted sequence>`` in the partition of the job: the jobs of a group are one range of each shard.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from jobfleet_backends.azure.column_kinds import check_kinds
from jobfleet_backends.azure.http.table_reader import Query
from jobfleet_backends.azure.index.index_rows import indexed_key
from jobfleet_backends.azure.index.index_table import Shards
from jobfleet_backends.azure.rows import plain_time
from jobfleet_contracts.codec import decode, encode_text
from jobfleet_contracts.cut_text import cut_text
from jobfleet_contracts.error_group import (
    MAX_SAMPLE_CHARACTERS,
    MOST_GROUPS,
    OTHER,
    ErrorGroup,
    ErrorKey,
    FailureCount,
    count_of,
    dead_group_of,
    error_key_of,
)
from jobfleet_contracts.event import Event
from jobfleet_contracts.index import IndexedEvent, TimeStep

ERROR_COLUMNS = (
    *("RowKey", "JobType", "Error", "Place", "Message", "JobId", "FirstAt", "LastAt"),
    *("Jobs", "Retried"),
)
_FIRST, _END = "e-", "e."
_LAST_HOUR = 9_999_999_999
_ROWS = "PartitionKey eq @shard and RowKey ge @first and RowKey lt @end"
_REMEMBERED_EVENTS = 20_000
_REMEMBERED_HOURS = 200


@dataclass(slots=True)
class _Group:
    key: ErrorKey
    first_at: datetime
    last_at: datetime
    message: str = ""
    job_id: str = ""
    total: FailureCount = field(default_factory=FailureCount)
    minutes: dict[str, FailureCount] = field(default_factory=dict)

    def add(self, event: Event) -> None:
        count, moment = count_of(event), event.occurred_at
        minute = moment.strftime("%M")
        self.total += count
        self.minutes[minute] = self.minutes.get(minute, FailureCount()) + count
        self.first_at = min(self.first_at, moment)
        if moment >= self.last_at:
            self.last_at, self.job_id = moment, event.job_id
            self.message = cut_text(event.message, MAX_SAMPLE_CHARACTERS)

    def columns(self) -> dict[str, Any]:
        minutes = {name: [one.jobs, one.retried] for name, one in self.minutes.items()}
        return {
            "JobType": self.key.job_type,
            "Error": self.key.error,
            "Place": self.key.place,
            "Message": self.message,
            "JobId": self.job_id,
            "FirstAt": self.first_at,
            "LastAt": self.last_at,
            "Jobs": self.total.jobs,
            "Retried": self.total.retried,
            "Minutes": encode_text(minutes),
        }


class ErrorCounter:
    """Keeps the counts of the last hours whole; at most 200 groups an hour, then ``OTHER``.

    Args:
        before: this counter leaves later failures out.
    """

    def __init__(self, *, shards: Shards, before: datetime | None = None) -> None:
        self._shards = shards
        self._before = before
        self._writer_id = uuid4().hex[:12]
        self._known: dict[str, None] = {}
        self._hours: dict[str, dict[ErrorKey, _Group]] = {}

    def count(self, event: Event) -> Iterator[dict[str, Any]]:
        """Yield the rows that a failure changes; nothing for other events."""
        key = error_key_of(event)
        if key is None:
            return
        if (group := dead_group_of(event)) is not None:
            yield _dead_row(event, group, self._shards.of(event.job_id))
        if event.event_id in self._known:
            return
        if self._before is not None and event.occurred_at >= self._before:
            return
        _make_room(self._known, _REMEMBERED_EVENTS)
        self._known[event.event_id] = None
        counted, hour = self._group(key, event)
        counted.add(event)
        yield {
            "PartitionKey": self._shards.of(counted.key.group_id),
            "RowKey": f"{hour}-{self._writer_id}-{counted.key.group_id}",
            **counted.columns(),
        }

    def _group(self, key: ErrorKey, event: Event) -> tuple[_Group, str]:
        """Return the group of this hour; an hour that was forgotten goes on under another name."""
        hour = _hour_key(event.occurred_at)
        if hour not in self._hours:
            if len(self._hours) >= _REMEMBERED_HOURS:
                self._hours.clear()
                self._writer_id = uuid4().hex[:12]
            self._hours[hour] = {}
        groups = self._hours[hour]
        if key not in groups and len(groups) >= MOST_GROUPS:
            key = OTHER
        if key not in groups:
            groups[key] = _Group(key, event.occurred_at, event.occurred_at)
        return groups[key], hour


def error_counters(
    shard: str,
    *,
    since: datetime | None = None,
    before: datetime | None = None,
    columns: tuple[str, ...] = ("RowKey",),
) -> Query:
    """Return the question for all writers' rows of a span of whole hours, newest first."""
    # The end is exclusive, and names that begin with the oldest hour come before "<hour>.".
    first = _FIRST if before is None else _hour_key(before - timedelta(hours=1))
    end = _END if since is None else f"{_hour_key(since)}."
    return Query(_ROWS, {"shard": shard, "first": first, "end": end}, columns)


def read_group(entity: Mapping[str, Any], step: TimeStep, since: datetime) -> ErrorGroup | None:
    """Return one writer's counts of a group in one hour; ``None`` if they lie before the span."""
    check_kinds(entity)
    hour = hour_of(entity)
    if step == "hour":
        steps = {hour: FailureCount(int(entity["Jobs"]), int(entity["Retried"]))}
    else:
        minutes: Mapping[str, list[int]] = decode(entity.get("Minutes", "{}"))
        steps = {
            start: FailureCount(*map(int, numbers))
            for minute, numbers in minutes.items()
            if (start := hour + timedelta(minutes=int(minute))) >= since
        }
    if not steps:
        return None
    return ErrorGroup(
        key=ErrorKey(entity["JobType"], entity["Error"], entity["Place"]),
        first_at=max(plain_time(entity["FirstAt"]), min(steps)),
        last_at=plain_time(entity["LastAt"]),
        message=entity["Message"],
        job_id=entity["JobId"],
        steps=steps,
    )


def hour_of(entity: Mapping[str, Any]) -> datetime:
    """Return the hour that a row counts.

    Raises:
        ValueError: its key names none.
    """
    number = _LAST_HOUR - int(str(entity["RowKey"])[2:12])
    return datetime.strptime(f"{number}+0000", "%Y%m%d%H%z")


def dead_key(event: IndexedEvent, group: str) -> str:
    """Return the row key of a job's failure within its group, newest first."""
    return f"f-{group}-{indexed_key(event)}"


def _dead_row(event: Event, group: str, shard: str) -> dict[str, Any]:
    place = IndexedEvent(event.job_id, event.sequence, event.occurred_at)
    return {
        "PartitionKey": shard,
        "RowKey": dead_key(place, group),
        "JobId": event.job_id,
        "Sequence": event.sequence,
    }


def _hour_key(moment: datetime) -> str:
    number = int(moment.astimezone(UTC).strftime("%Y%m%d%H"))
    return f"{_FIRST}{_LAST_HOUR - number:010d}"


def _make_room(remembered: dict[Any, Any], most: int) -> None:
    """Forget the oldest."""
    while len(remembered) >= most:
        remembered.pop(next(iter(remembered)))
