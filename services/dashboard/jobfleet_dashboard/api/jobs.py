"""Lists of events and jobs, and one job."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from jobfleet_contracts.codec import format_optional_time
from jobfleet_contracts.event import Event
from jobfleet_contracts.index import JobRow
from jobfleet_dashboard.api.answer import by_hand
from jobfleet_dashboard.api.descriptions import FLEET_EVENTS, JOB, JOBS
from jobfleet_dashboard.api.documents import EventPage, JobDocument, JobPage
from jobfleet_dashboard.api.filters import EventsFilter, JobsFilter
from jobfleet_dashboard.api.request_parts import JobId
from jobfleet_dashboard.api.route_description import described
from jobfleet_dashboard.security.access import require
from jobfleet_dashboard.security.principal import Role
from jobfleet_dashboard.services import Services, services_of
from jobfleet_protocol.reading.event_search import find_events
from jobfleet_protocol.reading.job_record import JobRecord, etag_of
from jobfleet_protocol.reading.masking_turns import in_turn, in_turns, message_of, texts_of

MAX_WAIT_SECONDS = 30
_LOOK_AGAIN_SECONDS = 2.0
_MAX_RETRY_AFTER = 30
T = TypeVar("T")

router = APIRouter(dependencies=[require(Role.VIEWER)], tags=["jobs"])


@router.get("/api/jobs", response_model=EventPage | JobPage, **described(JOBS))
async def jobs(request: Request, query: Annotated[JobsFilter, Query()]) -> Response:
    """The last job events, newest first; with ``view=jobs`` one row per job."""
    services = services_of(request)
    reader = services.backend.reader
    async with services.list_turn:
        if query.view == "jobs":
            rows = await reader.jobs(query.job_query())
            items = await in_turns(JobRow.to_json, rows.items, message_of)
            return by_hand(page(items, rows.next, rows.searched_back_to))
        found = await reader.events(query.event_query())
        items = await in_turns(Event.to_json, found.items, texts_of)
        return by_hand(page(items, found.next, found.searched_back_to))


@router.get("/api/events", response_model=EventPage, **described(FLEET_EVENTS))
async def fleet_events(request: Request, query: Annotated[EventsFilter, Query()]) -> Response:
    """What happened in the fleet in a range of time, newest first."""
    services = services_of(request)
    async with services.list_turn:
        found = await find_events(services.backend.reader, query.event_query())
        items = await in_turns(Event.to_json, found.items, texts_of)
        return by_hand(page(items, found.next, found.searched_back_to))


@router.get("/api/jobs/{jobId:uuid}", response_model=JobDocument, **described(JOB))
async def job(
    request: Request,
    job_id: JobId,
    wait: Annotated[float, Query(ge=0, le=MAX_WAIT_SECONDS, allow_inf_nan=False)] = 0,
) -> Response:
    """One job with its history; ``wait`` holds the answer until it ends or the time is over."""
    services = services_of(request)
    newest = await services.job_reader.newest(job_id)
    if wait and not newest.after.state.is_terminal:
        newest = await _ended(services, newest, wait)
    headers = _job_headers(newest, newest.sequence, services.clock.now())
    if _is_known(headers["ETag"], request.headers.get("if-none-match", "")):
        return Response(status_code=304, headers=headers)
    record = await services.job_reader.read(job_id)
    headers = _job_headers(record.newest, record.last_sequence, services.clock.now())
    texts = [texts_of(event) for event in record.events]
    return by_hand(await in_turn(JobRecord.to_json, record, texts), headers=headers)


def page(items: list[Any], following: str | None, back_to: datetime | None) -> dict[str, Any]:
    """Return a page; ``searchedBackTo`` says how far a bounded search looked."""
    return {
        "items": items,
        "next": following,
        "searchedBackTo": format_optional_time(back_to),
    }


async def _ended(services: Services, newest: Event, wait: float) -> Event:
    """Follow the trail: woken by the live tail, and every two seconds in case that misses it."""
    clock = services.clock
    until = clock.boottime() + wait
    async with services.live.subscribe(job_id=newest.job_id) as events:
        while True:
            newest = await services.job_reader.newest(newest.job_id)
            left = until - clock.boottime()
            if newest.after.state.is_terminal or left <= 0 or events.ended:
                return newest
            await events.next(min(left, _LOOK_AGAIN_SECONDS))
            await asyncio.sleep(0)


def _is_known(etag: str, header: str) -> bool:
    """Whether ``If-None-Match`` names it; a proxy that compresses makes it a weak one."""
    names = [name.strip().removeprefix("W/") for name in header.split(",")]
    return etag in names or names == ["*"]


def _job_headers(newest: Event, last_sequence: int, now: datetime) -> dict[str, str]:
    headers = {
        "ETag": etag_of(newest.job_id, last_sequence),
        "Cache-Control": "private, no-cache",
    }
    if not newest.after.state.is_terminal:
        due = newest.after.due_at
        seconds = 1 if due is None else int((due - now).total_seconds()) + 1
        headers["Retry-After"] = str(min(max(seconds, 1), _MAX_RETRY_AFTER))
    return headers
