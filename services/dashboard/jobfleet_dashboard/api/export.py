"""Filtered lists of jobs and of events as files."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response, StreamingResponse

from jobfleet_dashboard.api.descriptions import (
    EVENTS_CSV,
    EVENTS_JSON,
    EXPORT_CSV,
    EXPORT_JSON,
)
from jobfleet_dashboard.api.filters import EventExportFilter, ExportFilter
from jobfleet_dashboard.api.route_description import described
from jobfleet_dashboard.security.access import require
from jobfleet_dashboard.security.principal import Role
from jobfleet_dashboard.services import services_of
from jobfleet_protocol.reading.list_export import EVENTS, JOBS

CSV, JSON_LINES = "text/csv; charset=utf-8", "application/x-ndjson"
BLOCK = 64 * 1024
"""Bytes of lines that are sent at once: each line by itself would cost the loop a write."""

router = APIRouter(prefix="/api", dependencies=[require(Role.VIEWER)], tags=["jobs"])


@router.get("/jobs/export.csv", **described(EXPORT_CSV))
async def export_csv(request: Request, query: Annotated[ExportFilter, Query()]) -> Response:
    """All jobs of a filter as CSV; a download that ends early is not whole."""
    services = services_of(request)
    lines = JOBS.csv_lines(services.backend.reader, query.job_query(), services.list_turn)
    return await _file(lines, CSV, "jobs.csv")


@router.get("/jobs/export.jsonl", **described(EXPORT_JSON))
async def export_json(request: Request, query: Annotated[ExportFilter, Query()]) -> Response:
    """All jobs of a filter as JSON Lines; a download that ends early is not whole."""
    services = services_of(request)
    lines = JOBS.json_lines(services.backend.reader, query.job_query(), services.list_turn)
    return await _file(lines, JSON_LINES, "jobs.jsonl")


@router.get("/events/export.csv", **described(EVENTS_CSV))
async def events_csv(request: Request, query: Annotated[EventExportFilter, Query()]) -> Response:
    """All events of a filter as CSV; a download that ends early is not whole."""
    services = services_of(request)
    lines = EVENTS.csv_lines(services.backend.reader, query.event_query(), services.list_turn)
    return await _file(lines, CSV, "events.csv")


@router.get("/events/export.jsonl", **described(EVENTS_JSON))
async def events_json(request: Request, query: Annotated[EventExportFilter, Query()]) -> Response:
    """All events of a filter as JSON Lines; a download that ends early is not whole."""
    services = services_of(request)
    lines = EVENTS.json_lines(services.backend.reader, query.event_query(), services.list_turn)
    return await _file(lines, JSON_LINES, "events.jsonl")


async def _file(lines: AsyncIterator[bytes], media_type: str, name: str) -> Response:
    """Begin only once the first line is there: before it a failure still has a status."""
    first = await anext(lines, b"")

    async def body() -> AsyncIterator[bytes]:
        block = bytearray(first)
        async for line in lines:
            block += line
            if len(block) >= BLOCK:
                yield bytes(block)
                block.clear()
        yield bytes(block)

    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    return StreamingResponse(body(), media_type=media_type, headers=headers)
