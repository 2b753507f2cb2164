"""Who did what: ``/actions``, and one action on many jobs with its progress: ``/actions/{id}``."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import Response

from jobfleet_contracts.errors import NotFound
from jobfleet_contracts.event import NAMELESS, Event
from jobfleet_contracts.index import EventQuery, Page
from jobfleet_dashboard.api.bulk import before_of
from jobfleet_dashboard.live.subscription import Batch
from jobfleet_dashboard.security.access import asker_name, require
from jobfleet_dashboard.security.principal import Role
from jobfleet_dashboard.services import services_of
from jobfleet_dashboard.views.actions.shown_actions import ON_JOBS, ShownActions, parse_actions
from jobfleet_dashboard.views.live_stream import Fragment, shared_stream
from jobfleet_dashboard.views.pages import go_to
from jobfleet_dashboard.views.site import page_context, show, site_of
from jobfleet_protocol.actions.bulk_action import BulkAction, JobResult
from jobfleet_protocol.reading.event_search import find_events
from jobfleet_protocol.reading.journal import JournalEntry, Verb, read_journal
from jobfleet_protocol.reading.masking_turns import in_turn, in_turns, texts_of

LIST, ONE, JOBS = "actions/index.html", "actions/show.html", "actions/jobs.html"
PAGE_SIZE = 50

router = APIRouter(dependencies=[require(Role.VIEWER)], include_in_schema=False)


@router.get("/actions")
async def actions(request: Request) -> Response:
    """Show what people did to the fleet, newest first."""
    services = services_of(request)
    shown = parse_actions(request.query_params.multi_items())
    page = await read_journal(
        services.journal,
        services.bulk,
        wanted=shown.wanted(services.clock.now()),
        cursor=request.query_params.get("cursor") or None,
    )
    context: dict[str, Any] = {
        "entries": await in_turns(_entry, page.items),
        **_listed(shown, "/actions", page),
    }
    return show(request, LIST, verbs=list(Verb), **context, **page_context(request, "actions"))


@router.get("/actions/jobs")
async def on_jobs(request: Request) -> Response:
    """Show what people did to single jobs, as the jobs' trails tell it."""
    services = services_of(request)
    shown = parse_actions(request.query_params.multi_items())
    wanted, statuses = shown.wanted(services.clock.now()), shown.statuses()
    query = EventQuery(
        statuses=statuses,
        since=wanted.since,
        until=wanted.until,
        nothing=not statuses,
        limit=PAGE_SIZE,
        cursor=request.query_params.get("cursor") or None,
    )

    def fits(event: Event) -> bool:
        if not event.is_readable or "by" not in event.data:
            return False  # a cancelled attempt is not an action of a person
        return wanted.is_by(str(event.data["by"] or NAMELESS))

    page = await find_events(services.backend.reader, query, fits=fits)
    context: dict[str, Any] = {
        "events": await in_turns(Event.masked, page.items, texts_of),
        **_listed(shown, "/actions/jobs", page),
    }
    return show(
        request,
        JOBS,
        verbs=list(ON_JOBS),
        nameless=NAMELESS,
        **context,
        **page_context(request, "actions"),
    )


def _listed(shown: ShownActions, path: str, page: Page[Any]) -> dict[str, Any]:
    return {
        "filter": shown,
        "address": path,
        "older": shown.url(path, page.next) if page.next else None,
        "searched_back_to": page.searched_back_to,
    }


@router.get("/actions/{action_id}")
async def action(request: Request, action_id: str) -> Response:
    """Show how far an action on many jobs has come, and what became of its jobs."""
    found = await _one(request, _known(action_id))
    live = None if found["cursor"] else f"/stream/actions/{action_id}"
    context = page_context(request, "actions", live if not found["action"]["endedAt"] else None)
    return show(request, ONE, block="action", **found, **context)


@router.get("/stream/actions/{action_id}")
async def stream(request: Request, action_id: str) -> Response:
    """Keep its progress up to date."""
    known = _known(action_id)

    async def render(_: Batch | None) -> Sequence[Fragment]:
        context = await _one(request, known) | page_context(request)
        html = site_of(request).pages.fragment(ONE, "action", **context)
        return [Fragment("action", html, is_part=True)]

    may_operate = str(page_context(request)["may_operate"])
    return await shared_stream(request, ("action", known, may_operate), render, pause_seconds=1)


@router.post("/actions/{action_id}/stop", dependencies=[require(Role.OPERATOR)])
async def stop(request: Request, action_id: str) -> Response:
    """Stop it after the batch under way, then show it again."""
    known = _known(action_id)
    await services_of(request).bulk.stop(known, by=asker_name(request))
    return go_to(request, f"/actions/{known}")


async def _one(request: Request, action_id: str) -> dict[str, Any]:
    bulk, cursor = services_of(request).bulk, request.query_params.get("cursor")
    before = before_of(cursor) if cursor else None
    found, (results, following) = await asyncio.gather(
        bulk.find(action_id), bulk.results(action_id, before=before)
    )
    return {
        "action": await in_turn(BulkAction.to_json, found),
        "asked_at": found.asked_at,
        "ended_at": found.ended_at,
        "results": await in_turns(JobResult.to_json, results),
        "older": following,
        "cursor": cursor,
    }


def _entry(each: JournalEntry) -> dict[str, Any]:
    return each.to_json() | {"moment": each.entry.occurred_at}


def _known(action_id: str) -> str:
    try:
        return str(UUID(action_id))
    except ValueError:
        raise NotFound(f"there is no action {action_id[:50]!r}") from None
