"""What recurs: ``/schedules``, one of them, and what may be done with it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from jobfleet_contracts.control import CONTROL_NAME
from jobfleet_contracts.cut_text import cut_text
from jobfleet_contracts.errors import UnknownSchedule
from jobfleet_dashboard.api.request_parts import read_form
from jobfleet_dashboard.api.schedules import actions_of, found_schedule, run_one
from jobfleet_dashboard.live.subscription import Batch
from jobfleet_dashboard.security.access import require
from jobfleet_dashboard.security.principal import Role
from jobfleet_dashboard.services import services_of
from jobfleet_dashboard.views.live_stream import Fragment, shared_stream
from jobfleet_dashboard.views.pages import go_to
from jobfleet_dashboard.views.schedules.schedule_page import schedule_page, schedule_row
from jobfleet_dashboard.views.site import page_context, show, site_of
from jobfleet_protocol.reading.masking_turns import in_turns
from jobfleet_protocol.reading.schedule_record import schedule_texts

LIST = "schedules/index.html"
PAGE = "schedules/show.html"
PARTS = ("head", "next", "runs", "history", "facts", "documents")
LOOK_SECONDS = 2.0
"""Schedules are read no more often than this while events of other jobs come in."""
MAX_REASON = 500
SUBMITTER, OPERATOR = require(Role.SUBMITTER), require(Role.OPERATOR)

router = APIRouter(dependencies=[require(Role.VIEWER)], include_in_schema=False)


@router.get("/schedules")
async def schedules(request: Request) -> Response:
    """Show all schedules."""
    context = page_context(request, "schedules", "/stream/schedules")
    return show(request, LIST, schedules=await _rows(request), **context)


@router.get("/stream/schedules")
async def stream(request: Request) -> Response:
    """Keep the list up to date."""

    async def render(_: Batch | None) -> Sequence[Fragment]:
        context = {"schedules": await _rows(request), **page_context(request)}
        return [
            Fragment(
                "schedules",
                site_of(request).pages.fragment(LIST, "schedules", **context),
                is_part=True,
            )
        ]

    return await shared_stream(request, ("schedules",), render, pause_seconds=LOOK_SECONDS)


@router.get("/schedules/{name}")
async def schedule(
    request: Request, name: str, before: Annotated[int | None, Query(ge=2, lt=2**31)] = None
) -> Response:
    """Show one schedule; ``before`` pages back in its history."""
    name = _known_name(name)
    record = await found_schedule(request, name)
    page = await schedule_page(services_of(request), record, before=before)
    live_url = None if before else f"/stream/schedules/{quote(name, safe='')}"
    return show(request, PAGE, page=page, **page_context(request, "schedules", live_url))


@router.get("/stream/schedules/{name}")
async def stream_one(request: Request, name: str) -> Response:
    """Keep the page of a schedule up to date."""
    name = _known_name(name)

    async def render(_: Batch | None) -> Sequence[Fragment]:
        record = await found_schedule(request, name)
        page = await schedule_page(services_of(request), record)
        context: dict[str, Any] = {"page": page, **page_context(request)}
        pages = site_of(request).pages
        return [
            Fragment(part, pages.fragment(PAGE, part, **context), is_part=True) for part in PARTS
        ]

    context = page_context(request)
    roles = f"{context['may_submit']} {context['may_operate']}"
    key = ("schedule", name, roles)
    return await shared_stream(request, key, render, pause_seconds=LOOK_SECONDS)


@router.post("/schedules/{name}/run", dependencies=[SUBMITTER])
async def run(request: Request, name: str) -> Response:
    """Make its job once, now, and show that job."""
    name = _known_name(name)
    job = await run_one(request, name, await _reason(request))
    return go_to(request, f"/jobs/{job.job_id}")


@router.post("/schedules/{name}/{verb}", dependencies=[OPERATOR])
async def change(request: Request, name: str, verb: str) -> Response:
    """Pause, resume or remove it, then show it, or the list, again."""
    name = _known_name(name)
    actions = actions_of(request, await _reason(request))
    match verb:
        case "pause":
            await actions.pause(name)
        case "resume":
            await actions.resume(name)
        case "remove":
            await actions.remove(name)
            return go_to(request, "/schedules")
        case _:
            raise UnknownSchedule(f"a schedule has no action {verb[:100]}")
    return go_to(request, f"/schedules/{quote(name, safe='')}")


def _known_name(name: str) -> str:
    if not CONTROL_NAME.fullmatch(name):
        raise UnknownSchedule(f"there is no schedule {name[:100]}")
    return name


async def _reason(request: Request) -> str:
    return cut_text(str((await read_form(request)).get("reason", "")), MAX_REASON)


async def _rows(request: Request) -> Any:
    records = await services_of(request).schedule_reader.all()
    return await in_turns(schedule_row, records, schedule_texts)
