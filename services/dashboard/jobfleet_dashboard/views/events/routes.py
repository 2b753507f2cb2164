"""What happened in the fleet: ``/events``."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from fastapi import APIRouter, Request
from fastapi.responses import Response

from jobfleet_contracts.event import Event
from jobfleet_dashboard.live.subscription import Batch
from jobfleet_dashboard.security.access import require
from jobfleet_dashboard.security.principal import Role
from jobfleet_dashboard.services import services_of
from jobfleet_dashboard.views.event_row import event_row
from jobfleet_dashboard.views.events.event_filter import PAGE_SIZE, EventFilter, parse_filter
from jobfleet_dashboard.views.events.range_chart import last_part, read_chart
from jobfleet_dashboard.views.jobs.search_words import SearchedNames, completions
from jobfleet_dashboard.views.live_stream import Fragment, partial, shared_stream
from jobfleet_dashboard.views.pages import html
from jobfleet_dashboard.views.site import live_cursor, page_context, show, site_of
from jobfleet_dashboard.views.time_range import ANY_TIME
from jobfleet_protocol.reading.event_search import belongs, find_events
from jobfleet_protocol.reading.job_filter import MAX_SEARCH
from jobfleet_protocol.reading.masking_turns import in_turns, texts_of
from jobfleet_protocol.reading.search import EVENT_FIELD_NAMES

TEMPLATE = "events/index.html"

router = APIRouter(dependencies=[require(Role.VIEWER)], include_in_schema=False)


@dataclass(frozen=True, slots=True)
class Neighbours:
    """A closed range of time, and the addresses of those beside it."""

    since: datetime
    until: datetime
    earlier: str
    later: str


@router.get("/events")
async def events(request: Request) -> Response:
    """Show one page of the events that the filter lets through."""
    chosen = parse_filter(request.query_params.multi_items())
    cursor = await live_cursor(request)
    context = await _results(request, chosen)
    live_url = chosen.url("/stream/events") if chosen.is_live else None
    context |= page_context(request, "events", live_url, cursor=cursor)
    context["search_fields"] = EVENT_FIELD_NAMES
    answer = show(request, TEMPLATE, block="results", **context)
    if "HX-History-Restore-Request" not in request.headers:  # it has its entry already
        answer.headers[_history_header(request, chosen)] = chosen.url()
    return answer


@router.get("/events/words")
async def words(request: Request) -> Response:
    """Offer the search completed by each word that could follow."""
    search = request.query_params.get("q", "")[:MAX_SEARCH]
    backend = services_of(request).backend
    names = await SearchedNames.read(backend.directory, backend.control_log)
    context = {"suggestions": completions(search, names, EVENT_FIELD_NAMES)}
    return html(site_of(request).pages.fragment("jobs/_suggestions.html", "suggestions", **context))


@router.get("/stream/events")
async def stream(request: Request) -> Response:
    """Add what happens to the list."""
    chosen = parse_filter(request.query_params.multi_items())

    async def render(batch: Batch | None) -> Sequence[Fragment]:
        return await _arrivals(request, chosen, batch)

    return await shared_stream(request, ("events", chosen.url()), render)


async def _results(request: Request, chosen: EventFilter) -> dict[str, Any]:
    services = services_of(request)
    reader, now = services.backend.reader, services.clock.now()
    since, until = chosen.range.bounds(now)
    page, chart = await asyncio.gather(
        find_events(reader, chosen.query(now)), read_chart(reader, since, until, now=now)
    )
    part = last_part(since, until, now=now)
    return {
        "filter": chosen,
        "rows": await in_turns(event_row, page.items, texts_of),
        "older": chosen.older(page.next) if page.next else None,
        "newer": chosen.newer(),
        "searched_back_to": page.searched_back_to,
        "range_chart": chart,
        "charted_part": None if part is None else chosen.within(*part),
        "chart_address": replace(chosen, range=ANY_TIME).url(),
        "neighbours": _neighbours(chosen, since, until),
        "page_size": PAGE_SIZE,
    }


def _neighbours(
    chosen: EventFilter, since: datetime | None, until: datetime | None
) -> Neighbours | None:
    if since is None or until is None:
        return None
    try:
        earlier = chosen.within(since - (until - since), since)
        later = chosen.within(until, until + (until - since))
    except OverflowError:  # the years end at 9999
        return None
    return Neighbours(since, until, earlier, later)


async def _arrivals(request: Request, chosen: EventFilter, batch: Batch | None) -> list[Fragment]:
    services = services_of(request)
    query = chosen.query(services.clock.now())
    found: list[Event]
    if batch is None:
        found = list((await find_events(services.backend.reader, query)).items)
    else:
        events = [entry.event for entry in reversed(batch)]
        wanted = await in_turns(lambda event: belongs(query, event), events, texts_of)
        found = [event for event, fits in zip(events, wanted, strict=True) if fits]
    if not found:
        return []
    rows = await in_turns(event_row, found[:PAGE_SIZE], texts_of)
    text = site_of(request).pages.fragment("overview/_feed.html", "arrivals", arrivals=rows)
    return [Fragment("", partial("arriving", text, "afterbegin"))]


def _history_header(request: Request, chosen: EventFilter) -> str:
    """Return how the browser keeps the address: typing makes no entry of its own for Back."""
    before = parse_filter(parse_qsl(urlsplit(request.headers.get("HX-Current-URL", "")).query))
    times = replace(chosen.range, since=before.range.since, until=before.range.until)
    typed = replace(chosen, text=before.text, range=times)
    return "HX-Replace-Url" if typed.url() == before.url() else "HX-Push-Url"
