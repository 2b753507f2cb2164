"""What the pages of schedules show."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote, urlencode
from zoneinfo import ZoneInfo

from jobfleet_contracts.codec import parse_optional_time
from jobfleet_contracts.control import ControlEntry, ControlKind, text_in
from jobfleet_contracts.credentials import masked, masked_text
from jobfleet_contracts.ports import AuditTrail
from jobfleet_contracts.state import State
from jobfleet_dashboard.services import Services
from jobfleet_dashboard.views.job.job_facts import Fact
from jobfleet_dashboard.views.json_text import JsonText, json_text
from jobfleet_dashboard.views.schedules.schedule_notes import Note, schedule_notes
from jobfleet_protocol.control.schedule_state import Pause
from jobfleet_protocol.reading.durations import spell_ms
from jobfleet_protocol.reading.masking_turns import in_turn, in_turns
from jobfleet_protocol.reading.readable_trail import ReadableTrail
from jobfleet_protocol.reading.schedule_changes import LoggedEntry, logged_entries
from jobfleet_protocol.reading.schedule_record import ScheduleRecord, schedule_texts

MAX_RUNS = 10
MAX_ENTRIES = 50


@dataclass(frozen=True, slots=True)
class NextRun:
    """A tick to come: the moment, and how a clock in the schedule's zone then shows it."""

    moment: datetime
    in_zone: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleRow:
    """A schedule of the list; ``job_type`` is empty if it cannot be read."""

    name: str
    job_type: str
    when: str
    paused: Pause | None
    paused_why: str
    next_run: NextRun | None
    last_job_id: str | None
    last_state: State | None
    late_since: datetime | None
    notes: tuple[Note, ...]

    @property
    def href(self) -> str:
        """Its page."""
        return f"/schedules/{quote(self.name, safe='')}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A job that the schedule made; ``state`` is ``None`` if it has no history.

    The newest entry's job may not stand yet; the history of an older one was removed.
    """

    job_id: str
    kind: str
    tick: datetime | None
    at: datetime
    state: State | None
    duration: str
    is_newest: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryLine:
    """One entry of the log."""

    sequence: int
    kind: str
    at: datetime
    tick: datetime | None
    job_id: str | None
    by: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SchedulePage:
    """One schedule for the screen; ``older`` leads to the entries before these."""

    row: ScheduleRow
    next_runs: tuple[NextRun, ...]
    facts: tuple[Fact, ...]
    documents: tuple[JsonText, ...]
    runs: Sequence[Run]
    history: tuple[HistoryLine, ...]
    older: int | None


def schedule_row(record: ScheduleRecord) -> ScheduleRow:
    """Return what the list shows."""
    state = record.state
    runs = _next_runs(record)
    return ScheduleRow(
        name=record.entry.name,
        job_type="" if state is None else state.schedule.job["type"],
        when="" if state is None else state.schedule.when,
        paused=None if state is None else state.paused,
        paused_why=""
        if state is None or state.paused is None
        else masked_text(state.paused.reason),
        next_run=runs[0] if runs else None,
        last_job_id=None if state is None else state.last_job_id,
        last_state=record.last_state,
        late_since=record.late_since,
        notes=schedule_notes(record),
    )


async def schedule_page(
    services: Services, record: ScheduleRecord, *, before: int | None = None
) -> SchedulePage:
    """Return the page of a schedule; ``before`` pages back in its history.

    Raises:
        BackendUnavailable: log or trail cannot be read.
    """
    name = record.entry.name
    found = await services.schedules.history(name, before=before, limit=MAX_ENTRIES + 1)
    entries, texts = found[:MAX_ENTRIES], schedule_texts(record)
    return SchedulePage(
        row=await in_turn(schedule_row, record, texts),
        next_runs=_next_runs(record),
        facts=tuple(fact for fact in _facts(record) if fact.text or fact.moment),
        documents=await in_turn(_documents, record, texts),
        runs=await _runs(services.backend.trail, entries),
        history=tuple(await in_turns(_line, logged_entries(found, MAX_ENTRIES))),
        older=entries[-1].sequence if len(found) > len(entries) else None,
    )


def _next_runs(record: ScheduleRecord) -> tuple[NextRun, ...]:
    if record.state is None:
        return ()
    name = record.state.schedule.rule.timezone
    zone = ZoneInfo(name)
    return tuple(
        NextRun(tick, f"{tick.astimezone(zone):%a %Y-%m-%d %H:%M:%S} {name}")
        for tick in record.next_runs
    )


def _facts(record: ScheduleRecord) -> Iterator[Fact]:
    state = record.state
    if state is None:
        return
    rule, job = state.schedule.rule, state.schedule.job
    job_type = job["type"]
    yield Fact("type", job_type, href=f"/jobs?{urlencode({'type': job_type})}")
    yield Fact("when", state.schedule.when)
    yield Fact("start", moment=rule.start)
    yield Fact("while one runs", _OVERLAPS[rule.overlap])
    yield Fact("missed ticks", _CATCH_UPS[rule.catch_up])
    yield Fact("jitter", f"up to {rule.jitter_seconds:g} s" if rule.jitter_seconds else "")
    yield Fact("queue", job.get("queue", "default"))
    yield Fact("lock key", job.get("lockKey") or "")
    yield Fact("declared by", state.declared_by)
    yield Fact("last tick", moment=state.last_tick)


_OVERLAPS = {"skip": "skip the tick", "queue": "wait for it", "allow": "run both"}
_CATCH_UPS = {"none": "skip", "last": "run the last one", "all": "run all, at most 100"}


def _documents(record: ScheduleRecord) -> tuple[JsonText, ...]:
    state = record.state
    if state is None:
        return ()
    given = json_text("What its jobs are given", masked(dict(state.schedule.job)))
    if not record.differs_from_code or state.code is None:
        return (given,)
    return given, json_text("What the code declares", masked(state.code.to_json()))


async def _runs(trail: AuditTrail, entries: Sequence[ControlEntry]) -> Sequence[Run]:
    made = (ControlKind.FIRED, ControlKind.TRIGGERED)
    newest = [entry for entry in entries if entry.kind in made and text_in(entry.details, "jobId")]
    return await asyncio.gather(
        *(_run(trail, entry, is_newest=entry is entries[0]) for entry in newest[:MAX_RUNS])
    )


async def _run(trail: AuditTrail, entry: ControlEntry, *, is_newest: bool) -> Run:
    job_id = entry.details["jobId"]
    newest = await ReadableTrail(trail).newest(job_id)
    ended = newest is not None and newest.after.state.is_terminal
    return Run(
        job_id=job_id,
        kind=entry.kind,
        tick=parse_optional_time(entry.details.get("tick")),
        at=entry.occurred_at,
        state=None if newest is None else newest.after.state,
        is_newest=is_newest,
        duration=spell_ms(newest.duration_ms) if newest is not None and ended else "",
    )


def _line(logged: LoggedEntry) -> HistoryLine:
    entry, details = logged.entry, logged.entry.details
    why = masked_text(entry.reason) or _entry_text(entry)
    parts = [why, *(change.text for change in logged.changes())]
    return HistoryLine(
        sequence=entry.sequence,
        kind=entry.kind,
        at=entry.occurred_at,
        tick=parse_optional_time(details.get("tick")),
        job_id=details.get("jobId") or details.get("runningJobId"),
        by=entry.by,
        text="; ".join(filter(None, parts)),
    )


def _entry_text(entry: ControlEntry) -> str:
    """Return what an entry without a reason tells, beside its kind."""
    details = entry.details
    if entry.kind is not ControlKind.SKIPPED:
        return ""
    if details.get("reason") == "overlap":
        return "the job before it had not ended"
    count = details.get("count", 1)
    first = details.get("first")
    ticks = f"{count:,} ticks since {first}" if count > 1 and first else "it was not fired in time"
    return f"missed: {ticks}"
