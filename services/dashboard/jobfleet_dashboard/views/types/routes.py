"""Which jobs are slow: ``/types``."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from fastapi.responses import Response

from jobfleet_contracts.worker_status import RunningJob, WorkerStatus
from jobfleet_dashboard.live.subscription import Batch
from jobfleet_dashboard.security.access import require
from jobfleet_dashboard.security.principal import Role
from jobfleet_dashboard.services import services_of
from jobfleet_dashboard.views.live_stream import Fragment, shared_stream
from jobfleet_dashboard.views.site import page_context, show, site_of
from jobfleet_protocol.reading.masking_turns import in_turn
from jobfleet_protocol.reading.queue_record import pause_reason
from jobfleet_protocol.reading.type_list import (
    DEFAULT_SORT,
    DEFAULT_SPAN,
    SORTS,
    SPAN_FIELDS,
    SPANS,
    sorted_items,
    types_json,
)

TEMPLATE = "types/index.html"
COLUMNS = (
    ("ended", "Ended/min", "ended per minute", ""),
    ("failed", "Failed", "share of failed jobs", ""),
    ("waited-p50", "Waited p50", "median waiting time", "far"),
    ("waited-p95", "Waited p95", "95th percentile of waiting time", "far"),
    ("waited-p99", "Waited p99", "99th percentile of waiting time", "far"),
    ("ran-p50", "Ran p50", "median running time", "far"),
    ("ran-p95", "Ran p95", "95th percentile of running time", ""),
    ("ran-p99", "Ran p99", "99th percentile of running time", "far"),
)
"""Name of the order, heading, heading in words, class."""
_PAUSE_SECONDS = 5
SHOWN_RUNNING = 20
_ERROR_RANGES = {"hour": "1h", "day": "24h"}

router = APIRouter(dependencies=[require(Role.VIEWER)], include_in_schema=False)


@router.get("/types")
async def types(request: Request) -> Response:
    """Show each type's figures, what runs longest, and the slowest attempts of the last day."""
    query = urlencode(_chosen(request))
    context = page_context(request, "types", f"/stream/types?{query}")
    return show(request, TEMPLATE, block="types", **await _read(request), **context)


@router.get("/stream/types")
async def stream(request: Request) -> Response:
    """Keep the figures up to date."""

    async def render(_: Batch | None) -> Sequence[Fragment]:
        context = await _read(request) | page_context(request)
        return [
            Fragment(
                "types", site_of(request).pages.fragment(TEMPLATE, "types", **context), is_part=True
            )
        ]

    key = ("types", *_chosen(request).values())
    return await shared_stream(request, key, render, pause_seconds=_PAUSE_SECONDS)


async def _read(request: Request) -> dict[str, Any]:
    services, chosen = services_of(request), _chosen(request)
    records, report, workers = await asyncio.gather(
        services.queue_reader.types(), services.types.read(), services.backend.directory.workers()
    )
    texts = [*map(pause_reason, records)]
    types = await in_turn(lambda each: types_json(each, report), records, texts)
    return {
        **chosen,
        "items": sorted_items(types["items"], **chosen),
        "field": SPAN_FIELDS[chosen["span"]],
        "report": report,
        "running": _longest_running(workers, services.clock.now()),
        "spans": SPANS,
        "columns": COLUMNS,
        "error_range": _ERROR_RANGES[chosen["span"]],
    }


def _longest_running(
    workers: Sequence[WorkerStatus], now: datetime
) -> list[tuple[WorkerStatus, RunningJob]]:
    """Return what runs longest on live workers, as their heartbeats say."""
    found = [(worker, job) for worker in workers if worker.is_alive(now) for job in worker.running]
    return sorted(found, key=lambda each: each[1].started_at)[:SHOWN_RUNNING]


def _chosen(request: Request) -> dict[str, str]:
    """Return span and order that are asked for; an unknown one counts as none."""
    asked = request.query_params
    span, sort = asked.get("span", ""), asked.get("sort", "")
    return {
        "span": span if span in SPANS else DEFAULT_SPAN,
        "sort": sort if sort in SORTS else DEFAULT_SORT,
    }
