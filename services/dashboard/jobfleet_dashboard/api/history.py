"""Pages of one job's history and of its attempts."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from jobfleet_dashboard.api.answer import answer
from jobfleet_dashboard.api.descriptions import EVENTS, LOGS, described
from jobfleet_dashboard.api.filters import HistoryFilter, PageFilter
from jobfleet_dashboard.api.request_parts import JobId
from jobfleet_dashboard.security.access import require
from jobfleet_dashboard.security.principal import Role
from jobfleet_dashboard.services import services_of

router = APIRouter(dependencies=[require(Role.VIEWER)], tags=["jobs"])


@router.get("/api/jobs/{jobId:uuid}/logs", **described(LOGS))
async def logs(request: Request, job_id: JobId, query: Annotated[PageFilter, Query()]) -> Response:
    """The attempts of a job, first one first."""
    reader = services_of(request).job_reader
    found = await reader.attempts(job_id, cursor=query.cursor, limit=query.limit)
    items = [attempt.to_json() for attempt in found.items]
    return answer({"items": items, "next": found.next})


@router.get("/api/jobs/{jobId:uuid}/events", **described(EVENTS))
async def events(
    request: Request, job_id: JobId, query: Annotated[HistoryFilter, Query()]
) -> Response:
    """The history of a job, oldest first; with or without its steps."""
    reader = services_of(request).job_reader
    read = reader.events if query.steps else reader.lifecycle
    found = await read(job_id, cursor=query.cursor, limit=query.limit)
    return answer({"items": [event.to_json() for event in found.items], "next": found.next})
