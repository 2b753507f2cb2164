"""The state of a schedule after each entry of its log, and what may follow it; pure.

State, as JSON: ``definition`` (what is in force), ``code`` (what a handler module declared last,
and its digests), ``declaredBy``, ``anchor`` (where a fixed interval counts from), ``countedFrom``
(missed ticks before it do not count), ``lastTick``, ``lastJobId``, ``paused``, ``removed``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import takewhile
from typing import Any

from jobfleet_contracts.codec import (
    format_optional_time,
    format_time,
    parse_optional_time,
    parse_time,
)
from jobfleet_contracts.control import ControlEntry, ControlKind, text_in
from jobfleet_contracts.errors import UnknownSchedule
from jobfleet_contracts.internal_job import internal_job_id, is_internal_id
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.schedule import Schedule
from jobfleet_protocol.control.control_writer import ControlDraft

CODE = "code"
SCHEDULER = "scheduler"
KEPT_DIGESTS = 20
MOST_CAUGHT_UP = 100
LATE_AFTER = timedelta(seconds=60)
"""A tick is late, and with ``catch_up="none"`` missed, this long after its time."""


_LOOKS_BACK = (
    timedelta(minutes=3),
    timedelta(hours=2),
    timedelta(days=2),
    timedelta(days=60),
    timedelta(days=1500),
    timedelta(days=40_000),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DueTicks:
    """Ticks whose time has come, oldest first; ``complete`` is false where older ones are due."""

    ticks: list[datetime]
    complete: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """Who stopped the schedule, why and when."""

    by: str
    reason: str
    since: datetime

    def to_json(self) -> dict[str, Any]:
        """Return the stored form."""
        return {"by": self.by, "reason": self.reason, "since": format_time(self.since)}


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleState:
    """A schedule as its newest entry holds it.

    Attributes:
        schedule: what is in force.
        declared_by: ``code``, or who declared or changed it last.
        code: what code declared last, ``None`` if it never did.
        code_digests: digests of what code has declared, newest last, up to 20.
        anchor: where a fixed interval without a start counts from.
        counted_from: no tick before this time is due.
    """

    schedule: Schedule
    declared_by: str
    anchor: datetime
    counted_from: datetime
    code: Schedule | None = None
    code_digests: tuple[str, ...] = ()
    last_tick: datetime | None = None
    last_job_id: str | None = None
    paused: Pause | None = None
    removed: bool = False

    @classmethod
    def of(cls, entry: ControlEntry) -> ScheduleState:
        """Read the state that an entry holds."""
        state = entry.state
        name, paused, code = entry.name, state["paused"], state["code"]
        return cls(
            schedule=Schedule.from_json(name, state["definition"]),
            declared_by=str(state["declaredBy"]),
            anchor=parse_time(state["anchor"]),
            counted_from=parse_time(state["countedFrom"]),
            code=None if code is None else Schedule.from_json(name, code),
            code_digests=tuple(state["codeDigests"]),
            last_tick=parse_optional_time(state["lastTick"]),
            last_job_id=text_in(state, "lastJobId"),
            paused=None
            if paused is None
            else Pause(
                by=str(paused["by"]),
                reason=str(paused["reason"]),
                since=parse_time(paused["since"]),
            ),
            removed=state["removed"],
        )

    def to_json(self) -> dict[str, Any]:
        """Return the stored form."""
        return {
            "definition": self.schedule.to_json(),
            "declaredBy": self.declared_by,
            "anchor": format_time(self.anchor),
            "countedFrom": format_time(self.counted_from),
            "code": None if self.code is None else self.code.to_json(),
            "codeDigests": list(self.code_digests),
            "lastTick": format_optional_time(self.last_tick),
            "lastJobId": self.last_job_id,
            "paused": None if self.paused is None else self.paused.to_json(),
            "removed": self.removed,
        }

    @property
    def fires(self) -> bool:
        """Whether its ticks make jobs."""
        return self.paused is None and not self.removed

    def ticks(self, after: datetime | None = None) -> Iterator[datetime]:
        """Yield ticks after ``after``; without it, the ticks that have not fired yet."""
        if after is None:
            after = max(filter(None, (self.last_tick, self.counted_from)))
        return self.schedule.ticks(after, anchor=self.anchor)

    def due(self, now: datetime) -> DueTicks:
        """Return the ticks whose time has come and that have not fired.

        It looks back step by step until it has seen more ticks than can be caught up. So a schedule
        that ticks each second costs no more after a month than after an hour.
        """
        last = max(filter(None, (self.last_tick, self.counted_from)))
        for step in _LOOKS_BACK:
            after = max(last, now - step)
            ticks = list(
                takewhile(lambda tick: self.schedule.due_at(tick) <= now, self.ticks(after))
            )
            if after == last or len(ticks) > MOST_CAUGHT_UP:
                return DueTicks(ticks=ticks, complete=after == last)
        return DueTicks(ticks=ticks, complete=False)

    def late_since(self, now: datetime) -> datetime | None:
        """Return since when a tick is late by a minute or more, ``None`` if none is."""
        due_at = self.overdue_since(now)
        return due_at if due_at is not None and now - due_at >= LATE_AFTER else None

    def overdue_since(self, now: datetime) -> datetime | None:
        """Return when the oldest tick was due that has not fired, ``None`` if none is due."""
        if not self.fires:
            return None
        due_at = next((self.schedule.due_at(tick) for tick in self.ticks()), None)
        return due_at if due_at is not None and due_at <= now else None


# What callers ask for. Each takes the newest entry and returns what follows it, or refuses.


def declare(
    newest: ControlEntry | None, schedule: Schedule, *, by: str, reason: str, now: datetime
) -> ControlDraft | None:
    """Return the entry for a declaration or change by a person; ``None`` if nothing changes."""
    if newest is None:
        state = ScheduleState(schedule=schedule, declared_by=by, anchor=now, counted_from=now)
        return _draft(ControlKind.DECLARED, state, by=by, reason=reason)
    state = ScheduleState.of(newest)
    if not state.removed and state.schedule.digest() == schedule.digest():
        return None
    kind = ControlKind.DECLARED if state.removed else ControlKind.CHANGED
    return _draft(kind, _changed(state, schedule, by=by, now=now), by=by, reason=reason)


def declare_by_code(
    newest: ControlEntry | None,
    schedule: Schedule,
    *,
    now: datetime,
    live_digests: frozenset[str] = frozenset(),
) -> ControlDraft | None:
    """Return the entry for what a handler module declares; ``None`` if code declared it before.

    Args:
        live_digests: what live workers declare under this name. An older declaration does not
            replace a newer one that one of them still makes.
    """
    digest = schedule.digest()
    if newest is None:
        state = ScheduleState(
            schedule=schedule,
            declared_by=CODE,
            anchor=now,
            counted_from=now,
            code=schedule,
            code_digests=(digest,),
        )
        return _draft(ControlKind.DECLARED, state, by=CODE)
    state = ScheduleState.of(newest)
    known = state.code_digests
    if known and known[-1] == digest:
        return None
    if digest in known and known[-1] in live_digests:
        return None
    kept = tuple(each for each in known if each != digest)[-KEPT_DIGESTS + 1 :]
    changed = _changed(state, schedule, by=CODE, now=now)
    changed = replace(changed, code=schedule, code_digests=(*kept, digest))
    kind = ControlKind.CHANGED if known and not state.removed else ControlKind.DECLARED
    return _draft(kind, changed, by=CODE)


def pause(
    newest: ControlEntry | None, *, by: str, reason: str, now: datetime
) -> ControlDraft | None:
    """Return the entry for a pause; ``None`` if it is paused already."""
    state = _known(newest)
    if state.paused is not None:
        return None
    paused = Pause(by=by, reason=reason, since=now)
    return _draft(ControlKind.PAUSED, replace(state, paused=paused), by=by, reason=reason)


def resume(newest: ControlEntry | None, *, by: str, reason: str) -> ControlDraft | None:
    """Return the entry for a resume; ``None`` if it is not paused."""
    state = _known(newest)
    if state.paused is None:
        return None
    return _draft(ControlKind.RESUMED, replace(state, paused=None), by=by, reason=reason)


def remove(newest: ControlEntry | None, *, by: str, reason: str) -> ControlDraft | None:
    """Return the entry for a removal; ``None`` if it is removed already."""
    if newest is not None and ScheduleState.of(newest).removed:
        return None
    state = replace(_known(newest), removed=True)
    return _draft(ControlKind.REMOVED, state, by=by, reason=reason)


def run_now(newest: ControlEntry | None, *, by: str, reason: str) -> ControlDraft:
    """Return the entry for one run at once, beside the ticks."""
    state = _known(newest)
    assert newest is not None
    job_id = internal_job_id("schedule/run", newest.name, str(newest.sequence + 1))
    return _draft(
        ControlKind.TRIGGERED, state, by=by, reason=reason, details=_made(job_id, tick=None)
    )


def backfill(newest: ControlEntry | None, tick: datetime, *, by: str, reason: str) -> ControlDraft:
    """Return the entry for one tick of the past that a person wants run."""
    state = _known(newest)
    assert newest is not None
    job_id = internal_job_id("schedule/backfill", newest.name, format_time(tick))
    return _draft(
        ControlKind.TRIGGERED, state, by=by, reason=reason, details=_made(job_id, tick=tick)
    )


# What the scheduler decides.


def fire(newest: ControlEntry, tick: datetime) -> ControlDraft:
    """Return the entry that a tick has fired; its job is submitted after it stands."""
    state = ScheduleState.of(newest)
    job_id = tick_job_id(newest.name, format_time(tick))
    after = replace(state, last_tick=tick, last_job_id=job_id)
    return _draft(ControlKind.FIRED, after, by=SCHEDULER, details=_made(job_id, tick=tick))


def tick_job_id(name: str, tick: str) -> str:
    """Return the id of the job that a tick, as text, makes."""
    return internal_job_id("schedule/tick", name, tick)


def split_due(state: ScheduleState, now: datetime) -> tuple[DueTicks, list[datetime]]:
    """Return the ticks to skip as missed and those to fire, by the schedule's ``catch_up``."""
    due = state.due(now)
    ticks = due.ticks
    match state.schedule.rule.catch_up:
        case "all":
            kept = ticks[-MOST_CAUGHT_UP:]
        case "last":
            kept = ticks[-1:]
        case "none":
            kept = [t for t in ticks[-1:] if now - state.schedule.due_at(t) < LATE_AFTER]
    missed = ticks[: len(ticks) - len(kept)]
    return DueTicks(ticks=missed, complete=due.complete), kept


def skip_missed(newest: ControlEntry, missed: DueTicks) -> ControlDraft:
    """Return the entry that says that these ticks were not fired in time."""
    return _skip(newest, missed.ticks, {"reason": "missed", "complete": missed.complete})


def skip_overlap(newest: ControlEntry, tick: datetime, job_id: str) -> ControlDraft:
    """Return the entry that a tick was skipped because this job had not ended."""
    return _skip(newest, [tick], {"reason": "overlap", "runningJobId": job_id})


def _skip(newest: ControlEntry, ticks: list[datetime], why: dict[str, Any]) -> ControlDraft:
    after = replace(ScheduleState.of(newest), last_tick=ticks[-1])
    details = why | {
        "count": len(ticks),
        "tick": format_time(ticks[-1]),
        "first": format_time(ticks[0]),
    }
    return _draft(ControlKind.SKIPPED, after, by=SCHEDULER, details=details)


def job_of(entry: ControlEntry) -> JobRequest | None:
    """Return the job that an entry stands for, ``None`` if it makes none.

    Built from the entry alone, so that each process submits the same job.
    """
    job_id = entry.details.get("jobId")
    if job_id is None or entry.kind not in (ControlKind.FIRED, ControlKind.TRIGGERED):
        return None
    schedule = ScheduleState.of(entry).schedule
    fields = dict(schedule.job)
    if schedule.rule.overlap == "queue":
        fields.setdefault("lockKey", f"schedule/{entry.name}")
    fields["context"] = dict(fields.get("context") or {}) | {
        "scheduleName": entry.name,
        "scheduledFor": entry.details.get("tick"),
    }
    return JobRequest.parse(fields | {"jobId": job_id, "createdAt": format_time(entry.occurred_at)})


def schedule_of_job(
    job_id: str, context: Mapping[str, Any] | None
) -> tuple[str, str | None] | None:
    """Return name and tick of the schedule that made a job, ``None`` for other jobs.

    The job's context says it, which any submitter may write; its id proves it, since no submitted
    job can have an id of that kind.
    """
    name, tick = (context or {}).get("scheduleName"), (context or {}).get("scheduledFor")
    if not isinstance(name, str):
        return None
    if not isinstance(tick, str):
        return (name, None) if is_internal_id(job_id) else None
    made = (tick_job_id(name, tick), internal_job_id("schedule/backfill", name, tick))
    return (name, tick) if job_id in made else None


def _made(job_id: str, *, tick: datetime | None) -> dict[str, Any]:
    return {"jobId": job_id, "tick": format_optional_time(tick)}


def _known(newest: ControlEntry | None) -> ScheduleState:
    if newest is None:
        raise UnknownSchedule("there is no schedule of this name")
    state = ScheduleState.of(newest)
    if state.removed:
        raise UnknownSchedule(f"schedule {newest.name} was removed; declare it again first")
    return state


def _changed(state: ScheduleState, schedule: Schedule, *, by: str, now: datetime) -> ScheduleState:
    """Put another definition in force; ticks of the past count only if the times stay."""
    moved = state.removed or not schedule.same_times(state.schedule)
    return replace(
        state,
        schedule=schedule,
        declared_by=by,
        removed=False,
        counted_from=now if moved else state.counted_from,
    )


def _draft(
    kind: ControlKind,
    state: ScheduleState,
    *,
    by: str,
    reason: str = "",
    details: Mapping[str, Any] | None = None,
) -> ControlDraft:
    return ControlDraft(
        kind=kind, by=by, reason=reason, details=details or {}, state=state.to_json()
    )
