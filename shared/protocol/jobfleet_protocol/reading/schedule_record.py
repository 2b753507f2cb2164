"""Schedules as API, pages and command line show them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any

from jobfleet_contracts.codec import format_optional_time, format_time, parse_optional_time
from jobfleet_contracts.control import ControlEntry, number_in, text_in
from jobfleet_contracts.credentials import masked, masked_text
from jobfleet_contracts.fleet_ports import WorkerDirectory
from jobfleet_contracts.ports import AuditTrail, Clock
from jobfleet_contracts.state import State
from jobfleet_contracts.worker_status import WorkerStatus, contents_by_name
from jobfleet_protocol.control.schedule_state import ScheduleState
from jobfleet_protocol.control.schedules import Schedules
from jobfleet_protocol.reading.schedule_changes import LoggedEntry

NEXT_RUNS = 5
_AT_ONCE = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleRecord:
    """One schedule now.

    Attributes:
        next_runs: the next five ticks in UTC; empty if it is paused or never fires again.
        last_state: state of the last tick's job; ``None`` if there is none.
        late_since: when the tick that is late by a minute or more was due.
        handled: whether a live worker handles the type of its jobs.
        refused: why the handler of a live worker refuses its payload, ``None`` if none does.
        contents: ids of the live workers whose code declares it, by the digest of its content.
        error: why the stored entry cannot be read; then ``state`` is ``None``.
    """

    entry: ControlEntry
    state: ScheduleState | None
    next_runs: Sequence[datetime] = ()
    last_state: State | None = None
    late_since: datetime | None = None
    handled: bool = False
    refused: str | None = None
    contents: Mapping[str, Sequence[str]] = field(default_factory=dict)
    error: str | None = None

    @property
    def is_forgotten(self) -> bool:
        """Whether code declared it once and no live worker's code does; it still fires."""
        return self.state is not None and self.state.code is not None and not self.contents

    @property
    def differs_from_code(self) -> bool:
        """Whether what is in force is not what code declared last."""
        state = self.state
        if state is None or state.code is None:
            return False
        return state.code.digest() != state.schedule.digest()

    def to_json(self) -> dict[str, Any]:
        """Return the shape of ``GET /api/schedules``; what was submitted is masked."""
        state = self.state
        if state is None:
            return dict.fromkeys(FIELDS) | {"name": self.entry.name, "error": self.error}
        rule, paused = state.schedule.rule, state.paused
        job = masked(dict(state.schedule.job))
        return {
            "name": self.entry.name,
            "type": job["type"],
            "cron": rule.cron,
            "everySeconds": rule.every_seconds,
            "timezone": rule.timezone,
            "start": format_optional_time(rule.start),
            "overlap": rule.overlap,
            "catchUp": rule.catch_up,
            "jitterSeconds": rule.jitter_seconds,
            "payload": job.get("payload"),
            "queue": job.get("queue", "default"),
            "lockKey": job.get("lockKey"),
            "lockSlots": job.get("lockSlots", 1),
            "job": job,
            "paused": paused is not None,
            "pausedBy": paused.by if paused else None,
            "pausedReason": masked_text(paused.reason) if paused else None,
            "pausedSince": format_time(paused.since) if paused else None,
            "declaredBy": state.declared_by,
            "differsFromCode": self.differs_from_code,
            "inCode": bool(self.contents),
            "contents": [
                {"digest": digest, "workerIds": [*ids]} for digest, ids in self.contents.items()
            ],
            "handled": self.handled,
            "payloadRefused": masked_text(self.refused) if self.refused else None,
            "nextRuns": [format_time(tick) for tick in self.next_runs],
            "lastTick": format_optional_time(state.last_tick),
            "lastJobId": state.last_job_id,
            "lastState": self.last_state,
            "late": self.late_since is not None,
            "lateSince": format_optional_time(self.late_since),
            "error": None,
        }


def schedule_texts(record: ScheduleRecord) -> object:
    """Return what masking looks at in a schedule; workers' ids are not."""
    return [record.entry.state, record.refused]


FIELDS = (
    *("name", "type", "cron", "everySeconds", "timezone", "start", "overlap", "catchUp"),
    *("jitterSeconds", "payload", "queue", "lockKey", "lockSlots", "job", "paused", "pausedBy"),
    *("pausedReason", "pausedSince", "declaredBy", "differsFromCode", "inCode", "contents"),
    *("handled", "payloadRefused", "nextRuns", "lastTick", "lastJobId", "lastState", "late"),
    *("lateSince", "error"),
)
"""All fields of a schedule's JSON; ``null`` but for two where its row cannot be read."""


def history_json(logged: LoggedEntry) -> dict[str, Any]:
    """Return one entry in the shape of ``GET /api/schedules/{name}/history``."""
    entry, details = logged.entry, logged.entry.details
    return {
        "sequence": entry.sequence,
        "kind": entry.kind,
        "tick": _tick(details),
        "jobId": text_in(details, "jobId"),
        "by": entry.by,
        "reason": masked_text(entry.reason) or text_in(details, "reason") or "",
        "count": number_in(details, "count"),
        "runningJobId": text_in(details, "runningJobId"),
        "changes": [change.to_json() for change in logged.changes()],
        "timestamp": format_time(entry.occurred_at),
    }


def _tick(details: Mapping[str, Any]) -> str | None:
    try:
        return format_optional_time(parse_optional_time(text_in(details, "tick")))
    except ValueError:  # the log was edited by hand
        return None


def next_times(record: ScheduleRecord, now: datetime, count: int) -> list[str]:
    """Return the next ticks after ``now``, whether the schedule is paused or not."""
    if record.state is None:
        return []
    return [format_time(tick) for tick in islice(record.state.ticks(now), count)]


class ScheduleReader:
    """Reads schedules and the state of their last jobs."""

    def __init__(
        self,
        *,
        schedules: Schedules,
        trail: AuditTrail,
        directory: WorkerDirectory,
        clock: Clock,
    ) -> None:
        self._schedules = schedules
        self._directory = directory
        self._trail = trail
        self._clock = clock

    async def all(self) -> Sequence[ScheduleRecord]:
        """Return every schedule that has not been removed, by name."""
        heads, workers = await asyncio.gather(self._schedules.all(), self._live_workers())
        limit = asyncio.Semaphore(_AT_ONCE)

        async def one(head: ControlEntry) -> ScheduleRecord:
            async with limit:
                return await self._record(head, workers)

        return await asyncio.gather(*map(one, heads))

    async def find(self, name: str) -> ScheduleRecord | None:
        """Return one schedule, ``None`` if it is unknown or removed."""
        head = await self._schedules.find(name)
        return None if head is None else await self._record(head, await self._live_workers())

    async def late_seconds(self) -> dict[str, float]:
        """Return how long the oldest tick that has not fired is due, by name; only where one is."""
        now = self._clock.now()
        return dict(_overdue(await self._schedules.all(), now))

    async def _live_workers(self) -> Sequence[WorkerStatus]:
        now = self._clock.now()
        return [each for each in await self._directory.workers() if each.is_alive(now)]

    async def _record(self, head: ControlEntry, workers: Sequence[WorkerStatus]) -> ScheduleRecord:
        try:
            state = ScheduleState.of(head)
            ticks = list(islice(state.ticks(self._clock.now()), NEXT_RUNS))
        except Exception as error:  # noqa: BLE001 - a row of a newer release hides no other
            return ScheduleRecord(entry=head, state=None, error=str(error))
        newest = await self._trail.newest(state.last_job_id) if state.last_job_id else None
        return ScheduleRecord(
            entry=head,
            state=state,
            next_runs=ticks if state.fires else (),
            last_state=None if newest is None else newest.after.state,
            late_since=state.late_since(self._clock.now()),
            handled=any(state.schedule.job["type"] in worker.types for worker in workers),
            refused=_refusal(state, workers),
            contents=contents_by_name(workers).get(head.name, {}),
        )


def _refusal(state: ScheduleState, workers: Sequence[WorkerStatus]) -> str | None:
    digest = state.schedule.digest()
    return next((each.refused[digest] for each in workers if digest in each.refused), None)


def _overdue(heads: Sequence[ControlEntry], now: datetime) -> Iterator[tuple[str, float]]:
    for head in heads:
        try:
            since = ScheduleState.of(head).overdue_since(now)
        except Exception:  # noqa: BLE001, S112 - the list of schedules says what cannot be read
            continue
        if since is not None:
            yield head.name, (now - since).total_seconds()
