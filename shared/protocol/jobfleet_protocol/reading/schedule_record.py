"""Schedules as API, pages and command line show them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from jobfleet_contracts.codec import format_optional_time, format_time
from jobfleet_contracts.control import ControlEntry
from jobfleet_contracts.credentials import masked
from jobfleet_contracts.ports import AuditTrail, Clock
from jobfleet_contracts.state import State
from jobfleet_protocol.control.schedule_state import ScheduleState
from jobfleet_protocol.control.schedules import Schedules

NEXT_RUNS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleRecord:
    """One schedule now.

    Attributes:
        next_runs: the next five ticks in UTC; empty where it is paused or never fires again.
        last_state: of the last tick's job, ``None`` where there is none.
        late_since: when the tick that is late by a minute or more was due.
        error: why the stored entry cannot be read; then ``state`` is ``None``.
    """

    entry: ControlEntry
    state: ScheduleState | None
    next_runs: Sequence[datetime] = ()
    last_state: State | None = None
    late_since: datetime | None = None
    error: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the shape of ``GET /api/schedules``; what was submitted is masked."""
        state = self.state
        if state is None:
            return {"name": self.entry.name, "error": self.error}
        rule, job, paused = state.schedule.rule, state.schedule.job, state.paused
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
            "payload": masked(job.get("payload")),
            "queue": job.get("queue", "default"),
            "lockKey": job.get("lockKey"),
            "job": masked(dict(job)),
            "paused": paused is not None,
            "pausedBy": paused.by if paused else None,
            "pausedReason": paused.reason if paused else None,
            "pausedSince": format_time(paused.since) if paused else None,
            "declaredBy": state.declared_by,
            "differsFromCode": state.code is not None
            and state.code.digest() != state.schedule.digest(),
            "nextRuns": [format_time(tick) for tick in self.next_runs],
            "lastTick": format_optional_time(state.last_tick),
            "lastJobId": state.last_job_id,
            "lastState": self.last_state,
            "late": self.late_since is not None,
            "lateSince": format_optional_time(self.late_since),
        }


def history_json(entry: ControlEntry) -> dict[str, Any]:
    """Return one entry in the shape of ``GET /api/schedules/{name}/history``."""
    return {
        "sequence": entry.sequence,
        "kind": entry.kind,
        "tick": entry.details.get("tick"),
        "jobId": entry.details.get("jobId"),
        "by": entry.by,
        "reason": entry.reason or entry.details.get("reason", ""),
        "count": entry.details.get("count"),
        "runningJobId": entry.details.get("runningJobId"),
        "timestamp": format_time(entry.occurred_at),
    }


def next_times(record: ScheduleRecord, now: datetime, count: int) -> list[str]:
    """Return the next ticks after ``now``, whether the schedule is paused or not."""
    if record.state is None:
        return []
    return [format_time(tick) for tick in islice(record.state.ticks(now), count)]


class ScheduleReader:
    """Reads schedules and the state of their last jobs."""

    def __init__(self, *, schedules: Schedules, trail: AuditTrail, clock: Clock) -> None:
        self._schedules = schedules
        self._trail = trail
        self._clock = clock

    async def all(self) -> Sequence[ScheduleRecord]:
        """Return every schedule that has not been removed, by name."""
        heads = await self._schedules.all()
        return await asyncio.gather(*map(self._record, heads))

    async def find(self, name: str) -> ScheduleRecord | None:
        """Return one schedule, ``None`` if it is unknown or removed."""
        head = await self._schedules.find(name)
        return None if head is None else await self._record(head)

    async def _record(self, head: ControlEntry) -> ScheduleRecord:
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
        )
