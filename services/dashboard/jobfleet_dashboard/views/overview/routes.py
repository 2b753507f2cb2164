"""The first screen: ``/``."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter, Request
from fastapi.responses import Response

from jobfleet_contracts.index import EventQuery
from jobfleet_dashboard.live.subscription import Batch
from jobfleet_dashboard.security.access import require
from jobfleet_dashboard.security.principal import Role
from jobfleet_dashboard.services import services_of
from jobfleet_dashboard.views.event_row import event_row
from jobfleet_dashboard.views.live_stream import Fragment, partial, shared_stream
from jobfleet_dashboard.views.overview.overview_page import FEED_SIZE, read_overview
from jobfleet_dashboard.views.site import live_cursor, page_context, show, site_of
from jobfleet_protocol.reading.masking_turns import in_turns, texts_of

TEMPLATE = "overview/index.html"
INSTRUMENTS = ("fleet", "counts", "throughput", "queues", "alive")

router = APIRouter(dependencies=[require(Role.VIEWER)], include_in_schema=False)


@router.get("/")
async def overview(request: Request) -> Response:
    """Show the fleet."""
    cursor = await live_cursor(request)
    page = await read_overview(services_of(request), feed=True)
    context = page_context(request, "overview", "/stream/overview", cursor=cursor)
    return show(request, TEMPLATE, overview=page, **context)


@router.get("/stream/overview")
async def stream(request: Request) -> Response:
    """Keep the first screen up to date."""

    async def render(batch: Batch | None) -> Sequence[Fragment]:
        return [*await _feed(request, batch), *await _instruments(request)]

    return await shared_stream(request, ("overview",), render)


async def _instruments(request: Request) -> list[Fragment]:
    site = site_of(request)
    page = await read_overview(services_of(request), feed=False)
    context = {"overview": page, **page_context(request)}
    return [
        Fragment(name, site.pages.fragment(TEMPLATE, name, **context), is_part=True)
        for name in INSTRUMENTS
    ]


async def _feed(request: Request, batch: Batch | None) -> list[Fragment]:
    if batch is None:
        page = await services_of(request).backend.reader.events(EventQuery(limit=FEED_SIZE))
        events = list(page.items)
    else:
        events = [entry.event for entry in reversed(batch)]
    if not events:
        return []
    rows = await in_turns(event_row, events[:FEED_SIZE], texts_of)
    fragment = site_of(request).pages.fragment("overview/_feed.html", "arrivals", arrivals=rows)
    return [Fragment("", partial("arriving", fragment, "afterbegin"))]
