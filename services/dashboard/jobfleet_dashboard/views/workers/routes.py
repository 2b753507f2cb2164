"""Who works: ``/workers``, and what one worker does or did: ``/workers/{id}``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from jobfleet_dashboard.api.request_parts import WorkerId
from jobfleet_dashboard.live.subscription import Batch
from jobfleet_dashboard.security.access import require
from jobfleet_dashboard.security.principal import Role
from jobfleet_dashboard.services import services_of
from jobfleet_dashboard.views.live_stream import Fragment, shared_stream
from jobfleet_dashboard.views.site import page_context, show, site_of
from jobfleet_dashboard.views.workers.worker_row import worker_rows
from jobfleet_protocol.reading.worker_jobs import read_workers
from jobfleet_protocol.reading.worker_record import WorkerRecord, read_worker

TEMPLATE = "workers/index.html"
ONE = "workers/show.html"
HEARTBEAT_SECONDS = 5

router = APIRouter(dependencies=[require(Role.VIEWER)], include_in_schema=False)


@router.get("/workers")
async def workers(request: Request) -> Response:
    """Show the fleet's processes."""
    context = page_context(request, "workers", "/stream/workers")
    return show(request, TEMPLATE, workers=await _rows(request), **context)


@router.get("/stream/workers")
async def stream(request: Request) -> Response:
    """Keep heartbeats and slots up to date."""

    async def render(_: Batch | None) -> Sequence[Fragment]:
        return await _render(request)

    return await shared_stream(request, ("workers",), render)


@router.get("/workers/{workerId:uuid}")
async def worker(request: Request, worker_id: WorkerId) -> Response:
    """Show one worker, also one that is gone."""
    record = await _record(request, worker_id)
    context = page_context(request, "workers", f"/stream/workers/{worker_id}")
    return show(request, ONE, record=record, **context)


@router.get("/stream/workers/{workerId:uuid}")
async def stream_one(request: Request, worker_id: WorkerId) -> Response:
    """Keep the page of a worker up to date."""

    async def render(_: Batch | None) -> Sequence[Fragment]:
        context = {"record": await _record(request, worker_id), **page_context(request)}
        part = site_of(request).pages.fragment(ONE, "worker", **context)
        return [Fragment("worker", part, is_part=True)]

    return await shared_stream(
        request, ("workers", worker_id), render, pause_seconds=HEARTBEAT_SECONDS
    )


async def _record(request: Request, worker_id: str) -> WorkerRecord:
    services = services_of(request)
    backend = services.backend
    return await read_worker(
        worker_id,
        directory=backend.directory,
        reader=backend.reader,
        trail=backend.trail,
        now=services.clock.now(),
    )


async def _render(request: Request) -> Sequence[Fragment]:
    context = {"workers": await _rows(request), **page_context(request)}
    return [
        Fragment(
            "workers", site_of(request).pages.fragment(TEMPLATE, "workers", **context), is_part=True
        )
    ]


async def _rows(request: Request) -> Any:
    services = services_of(request)
    backend, now = services.backend, services.clock.now()
    return worker_rows(await read_workers(backend.directory, backend.trail, now), now)
