"""The list of jobs: ``/jobs``, its stream, and actions on many."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from fastapi import APIRouter, Request
from fastapi.responses import Response

from jobfleet_contracts.state import State
from jobfleet_dashboard.live.subscription import Batch
from jobfleet_dashboard.security.access import require
from jobfleet_dashboard.security.principal import Role
from jobfleet_dashboard.services import services_of
from jobfleet_dashboard.views.jobs.job_filter import JobFilter, parse_filter
from jobfleet_dashboard.views.jobs.job_row import JobListRow, row_of, row_of_event
from jobfleet_dashboard.views.known_names import KnownNames
from jobfleet_dashboard.views.live_stream import shared_stream
from jobfleet_dashboard.views.site import page_context, show, site_of

router = APIRouter(dependencies=[require(Role.VIEWER)], include_in_schema=False)


@router.get("/jobs")
async def jobs(request: Request) -> Response:
    """Show one page of the jobs that the filter lets through."""
    services = services_of(request)
    chosen = parse_filter(request.query_params.multi_items())
    told = await _results(request, chosen) | page_context(
        request, "jobs", chosen.url("/stream/jobs")
    )
    told["counts"] = (await services.census.read()).counts
    told["known"] = KnownNames.of(await services.backend.directory.workers())
    answer = show(request, "jobs/index.html", block="results", states=list(State), **told)
    if "HX-History-Restore-Request" not in request.headers:  # it has its entry already
        answer.headers[_history_header(request, chosen)] = chosen.url()
    return answer


def _history_header(request: Request, chosen: JobFilter) -> str:
    """Return how the browser keeps the address: typing makes no entry of its own for Back."""
    before = parse_filter(parse_qsl(urlsplit(request.headers.get("HX-Current-URL", "")).query))
    typed = replace(
        chosen,
        text=before.text,
        job_type=before.job_type,
        queue=before.queue,
        lock_key=before.lock_key,
        error_group=before.error_group,
        since=before.since,
        until=before.until,
    )
    return "HX-Replace-Url" if typed.url() == before.url() else "HX-Push-Url"


async def _results(request: Request, chosen: JobFilter) -> dict[str, Any]:
    services = services_of(request)
    page = await services.backend.reader.jobs(chosen.query(services.clock.now()))
    return {
        "filter": chosen,
        "rows": [row_of(row) for row in page.items],
        "older": chosen.older(page.next) if page.next else None,
        "newer": chosen.newer(),
        "searched_back_to": page.searched_back_to,
    }


@router.get("/stream/jobs")
async def stream(request: Request) -> Response:
    """Keep the rows of a list up to date, and count those that arrived."""
    chosen = parse_filter(request.query_params.multi_items())

    async def render(batch: Batch | None) -> str:
        return await _changes(request, chosen, batch)

    may_operate = str(page_context(request)["may_operate"])
    return await shared_stream(request, ("jobs", chosen.url(), may_operate), render)


async def _changes(request: Request, chosen: JobFilter, batch: Batch | None) -> str:
    services = services_of(request)
    now = services.clock.now()
    if batch is None:
        page = await services.backend.reader.jobs(chosen.query(now))
        rows = [row_of(row) for row in page.items]
    else:
        rows = _newest_rows(batch)
    told: dict[str, Any] = {
        "rows": rows,
        "fresh": {row.job_id for row in rows if chosen.lets_through(row)},
        "counts": (await services.census.read()).counts,
        "states": list(State),
    }
    return site_of(request).pages.fragment(
        "jobs/_live.html", "changes", **told, **page_context(request)
    )


def _newest_rows(batch: Batch) -> list[JobListRow]:
    newest = {entry.event.job_id: entry.event for entry in batch}
    return [row_of_event(event) for event in newest.values()]
