"""Pages of one job's history and of its attempts."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from jobfleet_contracts.event import Event
from jobfleet_dashboard.api.answer import by_hand
from jobfleet_dashboard.api.descriptions import EVENTS, LINES, LOGS, WAITING
from jobfleet_dashboard.api.documents import AttemptPage, HistoryPage, LogPage
from jobfleet_dashboard.api.filters import HistoryFilter, LinesFilter, PageFilter
from jobfleet_dashboard.api.request_parts import JobId
from jobfleet_dashboard.api.route_description import described
from jobfleet_dashboard.api.waiting_documents import WaitingList
from jobfleet_dashboard.security.access import require
from jobfleet_dashboard.security.principal import Role
from jobfleet_dashboard.services import Services, services_of
from jobfleet_protocol.reading.masking_turns import in_turns, texts_of
from jobfleet_protocol.reading.waiting_reason import WaitingReason, waiting_reasons

router = APIRouter(dependencies=[require(Role.VIEWER)], tags=["jobs"])


@router.get("/api/jobs/{jobId:uuid}/logs", response_model=AttemptPage, **described(LOGS))
async def logs(request: Request, job_id: JobId, query: Annotated[PageFilter, Query()]) -> Response:
    """The attempts of a job, first one first."""
    services = services_of(request)
    async with services.list_turn:
        found = await services.job_reader.attempts(job_id, cursor=query.cursor, limit=query.limit)
        items = [attempt.to_json() for attempt in found.items]
        return by_hand({"items": items, "next": found.next})


@router.get("/api/jobs/{jobId:uuid}/logs/lines", response_model=LogPage, **described(LINES))
async def lines(
    request: Request, job_id: JobId, query: Annotated[LinesFilter, Query()]
) -> Response:
    """What the handler logged, attempt after attempt, first line first."""
    reader = services_of(request).log_reader
    found = await reader.page(job_id, cursor=query.cursor, limit_bytes=query.limit_bytes)
    return by_hand(found.to_json())


@router.get("/api/jobs/{jobId:uuid}/waiting", **described(WAITING))
async def waiting(request: Request, job_id: JobId) -> WaitingList:
    """Why a job has not started; empty for jobs that run or have ended."""
    services = services_of(request)
    newest = await services.job_reader.newest(job_id)
    reasons = await waiting_of(services, newest)
    return WaitingList.model_validate({"items": [reason.to_json() for reason in reasons]})


async def waiting_of(services: Services, newest: Event) -> list[WaitingReason]:
    """Return why the job with this newest event has not started; pages use it too.

    Raises:
        BackendUnavailable: broker or storage did not answer.
    """
    backend = services.backend
    return await waiting_reasons(
        newest,
        pauses=services.pauses,
        queue=backend.queue,
        census=services.census.read,
        directory=backend.directory,
        clock=services.clock,
    )


@router.get("/api/jobs/{jobId:uuid}/events", response_model=HistoryPage, **described(EVENTS))
async def events(
    request: Request, job_id: JobId, query: Annotated[HistoryFilter, Query()]
) -> Response:
    """The history of a job, oldest first; with or without its steps."""
    services = services_of(request)
    reader = services.job_reader
    read = reader.events if query.steps else reader.lifecycle
    async with services.list_turn:
        found = await read(job_id, cursor=query.cursor, limit=query.limit)
        items = await in_turns(Event.to_json, found.items, texts_of)
        return by_hand({"items": items, "next": found.next})
