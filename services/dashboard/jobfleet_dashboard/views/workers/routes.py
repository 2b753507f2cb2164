"""Who works: ``/workers``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from jobfleet_dashboard.live.subscription import Batch
from jobfleet_dashboard.security.access import require
from jobfleet_dashboard.security.principal import Role
from jobfleet_dashboard.services import services_of
from jobfleet_dashboard.views.live_stream import Fragment, shared_stream
from jobfleet_dashboard.views.site import page_context, show, site_of
from jobfleet_dashboard.views.workers.worker_row import worker_rows
from jobfleet_protocol.reading.worker_jobs import read_workers

TEMPLATE = "workers/index.html"

router = APIRouter(dependencies=[require(Role.VIEWER)], include_in_schema=False)


@router.get("/workers")
async def workers(request: Request) -> Response:
    """Show the fleet's processes."""
    told = page_context(request, "workers", "/stream/workers")
    return show(request, TEMPLATE, workers=await _rows(request), **told)


@router.get("/stream/workers")
async def stream(request: Request) -> Response:
    """Keep heartbeats and slots up to date."""

    async def render(_: Batch | None) -> Sequence[Fragment]:
        return await _render(request)

    return await shared_stream(request, ("workers",), render)


async def _render(request: Request) -> Sequence[Fragment]:
    told = {"workers": await _rows(request), **page_context(request)}
    return [
        Fragment(
            "workers", site_of(request).pages.fragment(TEMPLATE, "workers", **told), is_part=True
        )
    ]


async def _rows(request: Request) -> Any:
    services = services_of(request)
    backend, now = services.backend, services.clock.now()
    return worker_rows(await read_workers(backend.directory, backend.trail, now), now)
