"""Queues and types: what waits in them, and their pauses."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request

from jobfleet_contracts.codec import parse_time
from jobfleet_contracts.control import ControlSubject
from jobfleet_contracts.errors import InvalidRequest
from jobfleet_dashboard.api.action_selection import reason_of
from jobfleet_dashboard.api.descriptions import PAUSE, QUEUES, RESUME, RUN_ANYWAY, TYPES
from jobfleet_dashboard.api.documents import (
    LaneDocument,
    PauseAnswer,
    QueueDocument,
    QueueList,
)
from jobfleet_dashboard.api.request_parts import JobId, json_object
from jobfleet_dashboard.api.route_description import described
from jobfleet_dashboard.api.type_documents import TypeList
from jobfleet_dashboard.security.access import asker_name, require
from jobfleet_dashboard.security.principal import Role
from jobfleet_dashboard.services import services_of
from jobfleet_protocol.reading.masking_turns import in_turn, in_turns
from jobfleet_protocol.reading.queue_record import QueueRecord, pause_reason
from jobfleet_protocol.reading.type_list import types_json

router = APIRouter(prefix="/api", tags=["fleet"])
_VIEWER, _OPERATOR = [require(Role.VIEWER)], [require(Role.OPERATOR)]
_REASON = frozenset({"reason"})

Queue = Annotated[str, Path(alias="queue")]
Type = Annotated[str, Path(alias="type")]


@router.get("/queues", dependencies=_VIEWER, **described(QUEUES))
async def queues(request: Request) -> QueueList:
    """Messages ready in each lane, and each queue with its pause, oldest job and workers."""
    records = await services_of(request).queue_reader.queues()
    rows = await in_turns(QueueRecord.to_json, records, pause_reason)
    lanes = [
        LaneDocument(
            queue=row["queue"],
            lane=lane,
            ready=ready,
            paused=row["paused"],
            paused_by=row["pausedBy"],
            paused_until=row["pausedUntil"],
        )
        for row in rows
        for lane, ready in row["lanes"].items()
    ]
    return QueueList(items=lanes, queues=[QueueDocument(**row) for row in rows])


@router.get("/types", dependencies=_VIEWER, **described(TYPES))
async def types(request: Request) -> TypeList:
    """Job types that are handled, paused or had jobs: their counts, times and failures."""
    services = services_of(request)
    records, report = await asyncio.gather(services.queue_reader.types(), services.types.read())
    texts = [*map(pause_reason, records)]
    found = await in_turn(lambda each: types_json(each, report), records, texts)
    return TypeList.model_validate(found)


@router.post("/queues/{queue}/pause", dependencies=_OPERATOR, **described(PAUSE))
async def pause_queue(request: Request, queue: Queue) -> PauseAnswer:
    """Let no job of a queue start; running jobs go on, and new jobs are accepted."""
    return await _pause(request, ControlSubject.QUEUE, queue)


@router.post("/queues/{queue}/resume", dependencies=_OPERATOR, **described(RESUME))
async def resume_queue(request: Request, queue: Queue) -> PauseAnswer:
    """Let the jobs of a queue start again."""
    return await _resume(request, ControlSubject.QUEUE, queue)


@router.post("/types/{type}/pause", dependencies=_OPERATOR, **described(PAUSE))
async def pause_type(request: Request, type_: Type) -> PauseAnswer:
    """Let no job of a type start; running jobs go on, and new jobs are accepted."""
    return await _pause(request, ControlSubject.TYPE, type_)


@router.post("/types/{type}/resume", dependencies=_OPERATOR, **described(RESUME))
async def resume_type(request: Request, type_: Type) -> PauseAnswer:
    """Let the jobs of a type start again."""
    return await _resume(request, ControlSubject.TYPE, type_)


@router.post("/jobs/{jobId:uuid}/run-anyway", dependencies=_OPERATOR, **described(RUN_ANYWAY))
async def run_anyway(request: Request, job_id: JobId) -> PauseAnswer:
    """Let one job start once though its queue or type is paused."""
    services = services_of(request)
    reason = reason_of(await json_object(request, known=_REASON))
    await services.pauses.run_job_anyway(
        job_id, trail=services.backend.trail, by=asker_name(request), reason=reason
    )
    return PauseAnswer(message=f"job {job_id} may start once during the pause")


def until_of(body: dict[str, Any]) -> datetime | None:
    """Return the end of the pause, ``None`` if the body gives none.

    Raises:
        InvalidRequest: it is not a time with a zone.
    """
    until = body.get("until")
    if until is None:
        return None
    try:
        return parse_time(until)
    except (ValueError, TypeError, AttributeError) as error:
        raise InvalidRequest(
            "until: must be a time as 2026-11-27T06:00:00Z", field="until"
        ) from error


async def _pause(request: Request, subject: ControlSubject, name: str) -> PauseAnswer:
    body = await json_object(request, known=frozenset({"reason", "until"}))
    services = services_of(request)
    changed = await services.pauses.pause(
        subject, name, by=asker_name(request), reason=reason_of(body), until=until_of(body)
    )
    message = f"{subject} {name} is paused"
    warning = await services.queue_reader.warning_of(subject, name)
    return PauseAnswer(message=message, changed=changed, warning=warning)


async def _resume(request: Request, subject: ControlSubject, name: str) -> PauseAnswer:
    reason = reason_of(await json_object(request, known=_REASON))
    pauses = services_of(request).pauses
    changed = await pauses.resume(subject, name, by=asker_name(request), reason=reason)
    message = f"{subject} {name} {'is open' if changed else 'was not paused'}"
    return PauseAnswer(message=message, changed=changed)
