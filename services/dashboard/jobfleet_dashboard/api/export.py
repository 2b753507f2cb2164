"""A filtered list of jobs as a file."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response, StreamingResponse

from jobfleet_dashboard.api.descriptions import EXPORT_CSV, EXPORT_JSON
from jobfleet_dashboard.api.filters import ExportFilter
from jobfleet_dashboard.api.route_description import described
from jobfleet_dashboard.security.access import require
from jobfleet_dashboard.security.principal import Role
from jobfleet_dashboard.services import services_of
from jobfleet_protocol.reading.job_export import csv_lines, json_lines

router = APIRouter(prefix="/api/jobs", dependencies=[require(Role.VIEWER)], tags=["jobs"])


@router.get("/export.csv", **described(EXPORT_CSV))
async def export_csv(request: Request, query: Annotated[ExportFilter, Query()]) -> Response:
    """All jobs of a filter as CSV; a download that ends early is not whole."""
    lines = csv_lines(services_of(request).backend.reader, query.job_query())
    return await _file(lines, "text/csv; charset=utf-8", "jobs.csv")


@router.get("/export.jsonl", **described(EXPORT_JSON))
async def export_json(request: Request, query: Annotated[ExportFilter, Query()]) -> Response:
    """All jobs of a filter as JSON Lines; a download that ends early is not whole."""
    lines = json_lines(services_of(request).backend.reader, query.job_query())
    return await _file(lines, "application/x-ndjson", "jobs.jsonl")


async def _file(lines: AsyncIterator[bytes], media_type: str, name: str) -> Response:
    """Begin only once the first line is there: before it a failure still has a status."""
    first = await anext(lines, b"")

    async def body() -> AsyncIterator[bytes]:
        yield first
        async for line in lines:
            yield line

    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    return StreamingResponse(body(), media_type=media_type, headers=headers)
