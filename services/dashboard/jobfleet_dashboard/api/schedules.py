"""Schedules: what recurs, who paused it, what became of its ticks."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request
from starlette.responses import Response

from jobfleet_contracts.codec import parse_time
from jobfleet_contracts.control import check_control_name
from jobfleet_contracts.errors import InvalidRequest, UnknownSchedule
from jobfleet_contracts.schedule import Schedule
from jobfleet_dashboard.api.action_selection import reason_of
from jobfleet_dashboard.api.answer import job_answer
from jobfleet_dashboard.api.descriptions import (
    SCHEDULE,
    SCHEDULE_ACT,
    SCHEDULE_BACKFILL,
    SCHEDULE_HISTORY,
    SCHEDULE_NEXT,
    SCHEDULE_PUT,
    SCHEDULE_RUN,
    SCHEDULES,
)
from jobfleet_dashboard.api.documents import JobAnswer
from jobfleet_dashboard.api.filters import CountFilter, PageFilter
from jobfleet_dashboard.api.outbound_parts import check_outbound
from jobfleet_dashboard.api.request_parts import checked, json_object, sequence_cursor
from jobfleet_dashboard.api.route_description import described
from jobfleet_dashboard.api.schedule_documents import (
    BackfillAnswer,
    BackfilledJob,
    NextRuns,
    ScheduleAnswer,
    ScheduleDocument,
    ScheduleHistory,
    ScheduleList,
    ScheduleMessage,
)
from jobfleet_dashboard.schedule_actions import ScheduleActions
from jobfleet_dashboard.security.access import asker, require
from jobfleet_dashboard.security.principal import Role
from jobfleet_dashboard.services import services_of
from jobfleet_protocol.actions.submission import Submitted
from jobfleet_protocol.reading.masking_turns import in_turn, in_turns
from jobfleet_protocol.reading.schedule_changes import logged_entries
from jobfleet_protocol.reading.schedule_record import (
    ScheduleRecord,
    history_json,
    next_times,
    schedule_texts,
)

_REASON = frozenset({"reason"})
_LOOKING_AHEAD = ThreadPoolExecutor(1, thread_name_prefix="next-runs")
"""A thousand times of one day in four years take a second of the day by day search."""

router = APIRouter(prefix="/api/schedules", tags=["schedules"])
VIEWER, SUBMITTER, OPERATOR = map(require, (Role.VIEWER, Role.SUBMITTER, Role.OPERATOR))


def _checked_name(name: Annotated[str, Path(max_length=100)]) -> str:
    return check_control_name(name, what="name")


Name = Annotated[str, Depends(_checked_name)]


@router.get("", dependencies=[VIEWER], **described(SCHEDULES))
async def schedules(request: Request) -> ScheduleList:
    """All schedules, by name."""
    records = await services_of(request).schedule_reader.all()
    items = await in_turns(ScheduleRecord.to_json, records, schedule_texts)
    return ScheduleList.model_validate({"items": items})


@router.get("/{name}", dependencies=[VIEWER], **described(SCHEDULE))
async def schedule(request: Request, name: Name) -> ScheduleDocument:
    """One schedule."""
    return await _document(request, name)


@router.put("/{name}", dependencies=[OPERATOR], **described(SCHEDULE_PUT))
async def put_schedule(request: Request, name: Name) -> ScheduleDocument:
    """Declare a schedule, or change it; the same again changes nothing."""
    body = await json_object(request)
    reason = reason_of(body)
    body.pop("reason", None)
    declared = await checked(request, lambda: _parse(name, body))
    await actions_of(request, reason).declare(declared)
    return await _document(request, name)


@router.delete("/{name}", dependencies=[OPERATOR], **described(SCHEDULE_ACT))
async def remove_schedule(request: Request, name: Name) -> ScheduleAnswer:
    """End a schedule; its history stays."""
    changed = await actions_of(request, await _reason(request)).remove(name)
    return ScheduleAnswer(name=name, message="removed", changed=changed)


@router.post("/{name}/pause", dependencies=[OPERATOR], **described(SCHEDULE_ACT))
async def pause_schedule(request: Request, name: Name) -> ScheduleAnswer:
    """Pause a schedule until it is resumed; a deployment does not."""
    changed = await actions_of(request, await _reason(request)).pause(name)
    return ScheduleAnswer(name=name, message="paused", changed=changed)


@router.post("/{name}/resume", dependencies=[OPERATOR], **described(SCHEDULE_ACT))
async def resume_schedule(request: Request, name: Name) -> ScheduleAnswer:
    """Resume a schedule; its catch-up decides which missed runs are made."""
    changed = await actions_of(request, await _reason(request)).resume(name)
    message: ScheduleMessage = "resumed" if changed else "was not paused"
    return ScheduleAnswer(name=name, message=message, changed=changed)


@router.post("/{name}/run", dependencies=[SUBMITTER], **described(SCHEDULE_RUN))
async def run_schedule(request: Request, response: Response, name: Name) -> JobAnswer:
    """Submit a schedule's job once, now; planned runs stay."""
    job = await run_one(request, name, await _reason(request))
    return job_answer(request, response, job.job_id, job.state, "accepted")


@router.post("/{name}/backfill", dependencies=[OPERATOR], **described(SCHEDULE_BACKFILL))
async def backfill_schedule(request: Request, name: Name) -> BackfillAnswer:
    """Submit the jobs of up to 1,000 past ticks; a second call submits none twice."""
    body = await json_object(request, known=_REASON | {"since", "until"})
    since, until = _time(body, "since"), _time(body, "until")
    jobs = await actions_of(request, reason_of(body)).backfill(name, since, until)
    services_of(request).metrics.jobs_registered.inc(sum(job.created for job in jobs))
    items = [BackfilledJob(job_id=job.job_id, state=job.state, created=job.created) for job in jobs]
    return BackfillAnswer(items=items)


@router.get("/{name}/next", dependencies=[VIEWER], **described(SCHEDULE_NEXT))
async def next_runs(
    request: Request, name: Name, query: Annotated[CountFilter, Query()]
) -> NextRuns:
    """The next times in UTC, whether the schedule is paused or not."""
    record = await found_schedule(request, name)
    now, loop = services_of(request).clock.now(), asyncio.get_running_loop()
    times = await loop.run_in_executor(_LOOKING_AHEAD, next_times, record, now, query.count)
    return NextRuns.model_validate({"items": times})


@router.get("/{name}/history", dependencies=[VIEWER], **described(SCHEDULE_HISTORY))
async def schedule_history(
    request: Request, name: Name, query: Annotated[PageFilter, Query()]
) -> ScheduleHistory:
    """What happened to a schedule, newest first; also to one that was removed."""
    before = sequence_cursor(query.cursor)
    schedules = services_of(request).schedules
    found = await schedules.history(name, before=before, limit=query.limit + 1)
    if not found and before is None:
        raise UnknownSchedule(f"there is no schedule {name}")
    items = await in_turns(history_json, logged_entries(found, query.limit))
    following = str(items[-1]["sequence"]) if len(found) > query.limit else None
    return ScheduleHistory.model_validate({"items": items, "next": following})


async def run_one(request: Request, name: str, reason: str) -> Submitted:
    """Make a schedule's job within the limits of submission; pages use it too."""
    services = services_of(request)
    await services.rate_limit.check(request)
    record = await found_schedule(request, name)
    if record.state is not None:
        await services.queue_limit.check(record.state.schedule.job.get("queue", "default"))
    job = await actions_of(request, reason).run(name)
    services.metrics.jobs_registered.inc()
    return job


async def found_schedule(request: Request, name: str) -> ScheduleRecord:
    """Return one schedule; pages use it too.

    Raises:
        UnknownSchedule: none has this name.
    """
    record = await services_of(request).schedule_reader.find(name)
    if record is None:
        raise UnknownSchedule(f"there is no schedule {name}")
    return record


async def _document(request: Request, name: str) -> ScheduleDocument:
    record = await found_schedule(request, name)
    shown = await in_turn(ScheduleRecord.to_json, record, schedule_texts(record))
    return ScheduleDocument.model_validate(shown)


def actions_of(request: Request, reason: str) -> ScheduleActions:
    """Return what the asker may do, after the route has checked the role."""
    schedules = services_of(request).schedules
    return ScheduleActions(schedules=schedules, by=asker(request), reason=reason)


async def _reason(request: Request) -> str:
    return reason_of(await json_object(request, known=_REASON))


def _parse(name: str, body: dict[str, Any]) -> Schedule:
    declared = Schedule.parse(name, body)
    check_outbound(declared.job)
    return declared


def _time(body: dict[str, Any], field: str) -> datetime:
    value = body.get(field)
    try:
        if isinstance(value, str):
            return parse_time(value)
    except ValueError as error:
        raise InvalidRequest(f"{field}: {error}", field=field) from error
    raise InvalidRequest(f"{field}: must be a time, as 2026-01-31T09:30:00Z", field=field)
