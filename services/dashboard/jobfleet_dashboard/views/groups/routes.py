"""One group of jobs: ``/groups/{id}``, its stream, and actions on the whole group."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from jobfleet_contracts.cut_text import cut_text
from jobfleet_dashboard.api.request_parts import JobId, read_form
from jobfleet_dashboard.group_actions import accept
from jobfleet_dashboard.live.subscription import Batch
from jobfleet_dashboard.security.access import asker, require
from jobfleet_dashboard.security.principal import Role
from jobfleet_dashboard.services import services_of
from jobfleet_dashboard.views.groups.group_page import GroupPage, group_page
from jobfleet_dashboard.views.live_stream import Fragment, shared_stream
from jobfleet_dashboard.views.pages import go_to
from jobfleet_dashboard.views.site import page_context, show, site_of
from jobfleet_protocol.reading.job_actions import JobAction

TEMPLATE = "groups/show.html"
PAGE_SIZE = 50
PAUSE_SECONDS = 2

router = APIRouter(dependencies=[require(Role.VIEWER)], include_in_schema=False)


@router.get("/groups/{jobId:uuid}")
async def group(request: Request, job_id: JobId) -> Response:
    """Show how the members stand, and a page of them."""
    page = await _page(request, job_id)
    address = page.url(state=page.chosen, cursor=page.cursor, stream="/stream")
    context = page_context(request, "jobs", address if page.live else None)
    return show(request, TEMPLATE, group=page, **context)


@router.get("/stream/groups/{jobId:uuid}")
async def stream(request: Request, job_id: JobId) -> Response:
    """Keep the page of a group up to date."""

    async def render(_: Batch | None) -> Sequence[Fragment]:
        context: dict[str, Any] = {"group": await _page(request, job_id), **page_context(request)}
        pages = site_of(request).pages
        return [
            Fragment(name, pages.fragment(TEMPLATE, name, **context), is_part=True)
            for name in ("standing", "actions", "members")
        ]

    may_operate = str(page_context(request)["may_operate"])
    key = ("group", job_id, str(request.query_params), may_operate)
    return await shared_stream(request, key, render, pause_seconds=PAUSE_SECONDS)


@router.post("/groups/{jobId:uuid}/cancel", dependencies=[require(Role.OPERATOR)])
async def cancel(request: Request, job_id: JobId) -> Response:
    """Cancel the group and its members, then show how far that has come."""
    return await _act(request, job_id, JobAction.CANCEL)


@router.post("/groups/{jobId:uuid}/redrive", dependencies=[require(Role.OPERATOR)])
async def redrive(request: Request, job_id: JobId) -> Response:
    """Redrive the members that did not complete, then show how far that has come."""
    return await _act(request, job_id, JobAction.REDRIVE)


async def _act(request: Request, group_id: str, action: JobAction) -> Response:
    reason = cut_text(str((await read_form(request)).get("reason", "")), 500)
    services, by = services_of(request), asker(request)
    accepted = await accept(services, group_id, action, by=by, reason=reason)
    return go_to(request, f"/actions/{accepted.action_id}")


async def _page(request: Request, group_id: str) -> GroupPage:
    asked = request.query_params
    chosen, cursor = asked.get("state") or None, asked.get("cursor") or None
    reader = services_of(request).group_reader
    record = await reader.read(group_id)
    members = await reader.members(group_id, state=chosen, cursor=cursor, limit=PAGE_SIZE)
    return group_page(record, members, chosen=chosen, cursor=cursor)
