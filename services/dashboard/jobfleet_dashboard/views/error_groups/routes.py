"""What failed, and how often: ``/errors``, and the jobs of one group: ``/errors/{group}``."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from fastapi.responses import Response

from jobfleet_contracts.errors import InvalidRequest
from jobfleet_contracts.state import Status
from jobfleet_dashboard.live.subscription import Batch
from jobfleet_dashboard.security.access import require
from jobfleet_dashboard.security.principal import Role
from jobfleet_dashboard.services import services_of
from jobfleet_dashboard.views.error_groups.group_row import SPARK_HEIGHT, rows_of
from jobfleet_dashboard.views.jobs.job_filter import JobFilter
from jobfleet_dashboard.views.jobs.job_row import row_of
from jobfleet_dashboard.views.live_stream import Fragment, shared_stream
from jobfleet_dashboard.views.site import page_context, show, site_of
from jobfleet_protocol.reading.error_report import (
    RANGES,
    ErrorRange,
    error_range,
    read_errors,
)
from jobfleet_protocol.reading.job_filter import parse_group
from jobfleet_protocol.reading.masking_turns import in_turns, message_of

LIST = "error_groups/index.html"
GROUP = "error_groups/show.html"
PAGE_SIZE = 50
_FAILURES = frozenset({Status.FAILED, Status.TIMED_OUT, Status.ATTEMPT_FAILED})

router = APIRouter(dependencies=[require(Role.VIEWER)], include_in_schema=False)


@router.get("/errors")
async def errors(request: Request) -> Response:
    """Show the groups of a range."""
    chosen, job_type = _chosen(request)
    context = await _list(request, chosen, job_type) | page_context(
        request, "errors", f"/stream/errors?{_query(chosen, job_type)}"
    )
    return show(request, LIST, block="groups", **context)


@router.get("/stream/errors")
async def stream(request: Request) -> Response:
    """Count failures as they come."""
    chosen, job_type = _chosen(request)

    async def render(batch: Batch | None) -> Sequence[Fragment]:
        if batch is not None and not _tells_of_failures(batch):
            return []
        context = await _list(request, chosen, job_type) | page_context(request)
        return [
            Fragment(
                "groups", site_of(request).pages.fragment(LIST, "groups", **context), is_part=True
            )
        ]

    key = ("errors", chosen.name, job_type)
    return await shared_stream(request, key, render, pause_seconds=1)


@router.get("/errors/{group_id}")
async def group(request: Request, group_id: str) -> Response:
    """Show one group: how often, where, and the jobs that stand dead in it."""
    chosen, _ = _chosen(request)
    services = services_of(request)
    asked = JobFilter(
        error_group=parse_group(group_id), cursor=request.query_params.get("cursor", "")
    )
    report, page = await asyncio.gather(
        read_errors(services.backend.reader, services.clock, chosen),
        services.backend.reader.jobs(asked.query(services.clock.now(), limit=PAGE_SIZE)),
    )
    context = {
        **_shared(chosen),
        "group_id": group_id,
        "group": next((row for row in await rows_of(report) if row.group_id == group_id), None),
        "report": report,
        "jobs": await in_turns(row_of, page.items, message_of),
        "filter": asked,
        "older": page.next,
        "searched_back_to": page.searched_back_to,
        "fields": asked.pairs(),
    }
    return show(request, GROUP, block="group", **context, **page_context(request, "errors"))


async def _list(request: Request, chosen: ErrorRange, job_type: str) -> dict[str, Any]:
    services = services_of(request)
    report = await read_errors(
        services.backend.reader, services.clock, chosen, job_type=job_type or None
    )
    return {
        **_shared(chosen),
        "report": report,
        "groups": await rows_of(report),
        "job_type": job_type,
    }


def _shared(chosen: ErrorRange) -> dict[str, Any]:
    return {"chosen": chosen, "ranges": list(RANGES.values()), "spark_height": SPARK_HEIGHT}


def _chosen(request: Request) -> tuple[ErrorRange, str]:
    """Return the range and the job type that are asked for; an unknown range counts as none."""
    asked = request.query_params
    try:
        chosen = error_range(asked.get("range"))
    except InvalidRequest:
        chosen = error_range(None)
    return chosen, asked.get("type", "")[:100]


def _query(chosen: ErrorRange, job_type: str) -> str:
    return urlencode({"range": chosen.name} | ({"type": job_type} if job_type else {}))


def _tells_of_failures(batch: Batch) -> bool:
    return any(entry.event.is_readable and entry.event.kind in _FAILURES for entry in batch)
