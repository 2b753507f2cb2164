"""The list of jobs: ``/jobs``, its stream, and actions on many."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from fastapi import APIRouter, Request
from fastapi.responses import Response

from jobfleet_contracts.index import JobQuery, JobRow
from jobfleet_contracts.state import State
from jobfleet_dashboard.live.subscription import Batch
from jobfleet_dashboard.security.access import require
from jobfleet_dashboard.security.principal import Role
from jobfleet_dashboard.services import Services, services_of
from jobfleet_dashboard.views.jobs.job_filter import JobFilter, parse_filter
from jobfleet_dashboard.views.jobs.job_row import JobListRow, is_open_group, row_of
from jobfleet_dashboard.views.jobs.search_words import SearchedNames, completions, in_payloads
from jobfleet_dashboard.views.known_names import KnownNames
from jobfleet_dashboard.views.live_stream import Fragment, shared_stream
from jobfleet_dashboard.views.pages import go_to, html
from jobfleet_dashboard.views.site import live_cursor, page_context, show, site_of
from jobfleet_protocol.reading.job_filter import MAX_SEARCH
from jobfleet_protocol.reading.masking_turns import in_turns, message_of
from jobfleet_protocol.reading.search import FIELD_NAMES

router = APIRouter(dependencies=[require(Role.VIEWER)], include_in_schema=False)


@router.get("/jobs")
async def jobs(request: Request) -> Response:
    """Show one page of the jobs that the filter lets through."""
    services = services_of(request)
    chosen = parse_filter(request.query_params.multi_items())
    if (job_id := chosen.job_id) is not None and await services.backend.trail.newest(job_id):
        return go_to(request, f"/jobs/{job_id}")
    cursor = await live_cursor(request)
    context = await _results(request, chosen)
    context |= page_context(request, "jobs", chosen.url("/stream/jobs"), cursor=cursor)
    context["counts"] = await _counts(services, chosen)
    context["search_fields"] = FIELD_NAMES
    context["known"] = KnownNames.of(await services.backend.directory.workers())
    answer = show(request, "jobs/index.html", block="results", states=list(State), **context)
    if "HX-History-Restore-Request" not in request.headers:  # it has its entry already
        answer.headers[_history_header(request, chosen)] = chosen.url()
    return answer


@router.get("/jobs/words")
async def words(request: Request) -> Response:
    """Offer the search completed by each word that could follow."""
    search = request.query_params.get("q", "")[:MAX_SEARCH]
    backend = services_of(request).backend
    names = await SearchedNames.read(backend.directory, backend.control_log)
    context = {"suggestions": completions(search, names)}
    return html(site_of(request).pages.fragment("jobs/_suggestions.html", "suggestions", **context))


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
        range=replace(chosen.range, since=before.range.since, until=before.range.until),
    )
    return "HX-Replace-Url" if typed.url() == before.url() else "HX-Push-Url"


async def _results(request: Request, chosen: JobFilter) -> dict[str, Any]:
    services = services_of(request)
    backend = services.backend
    page = await backend.reader.jobs(chosen.query(services.clock.now()))
    names: SearchedNames | None = None
    if chosen.text and not page.items:
        names = await SearchedNames.read(backend.directory, backend.control_log)
    return {
        "elsewhere": [replace(chosen, text=each) for each in in_payloads(chosen.text, names)]
        if names
        else [],
        "filter": chosen,
        "rows": await _shown(services, page.items),
        "older": chosen.older(page.next) if page.next else None,
        "newer": chosen.newer(),
        "searched_back_to": page.searched_back_to,
    }


async def _counts(services: Services, chosen: JobFilter) -> Mapping[State, int] | None:
    """Return jobs per state; ``None`` if the filter keeps some out: those are not counted."""
    return (await services.census.read()).counts if chosen.only_states else None


async def _shown(services: Services, rows: Sequence[JobRow]) -> list[JobListRow]:
    """Return the rows; each open group among them is asked whether its members hold it."""
    groups = [row for row in rows if is_open_group(row)]
    held = await services.group_reader.held(row.facts.job_id for row in groups)
    return await in_turns(
        lambda row: row_of(row, held_by=held.get(row.facts.job_id, 0)), rows, message_of
    )


@router.get("/stream/jobs")
async def stream(request: Request) -> Response:
    """Keep the rows of a list up to date, and count those that arrived."""
    chosen = parse_filter(request.query_params.multi_items())

    async def render(batch: Batch | None) -> Sequence[Fragment]:
        return [Fragment("", await _changes(request, chosen, batch))]

    may_operate = str(page_context(request)["may_operate"])
    return await shared_stream(request, ("jobs", chosen.url(), may_operate), render)


async def _changes(request: Request, chosen: JobFilter, batch: Batch | None) -> str:
    services = services_of(request)
    now = services.clock.now()
    query = chosen.query(now)
    if batch is None:
        found = list((await services.backend.reader.jobs(query)).items)
        fresh = {row.facts.job_id for row in found}
    else:
        found = _newest_rows(batch)
        wanted = await in_turns(lambda row: _is_wanted(row, query), found, message_of)
        fresh = {row.facts.job_id for row, fits in zip(found, wanted, strict=True) if fits}
    context: dict[str, Any] = {
        "rows": await _shown(services, found),
        "fresh": fresh,
        "counts": await _counts(services, chosen),
        "states": list(State),
    }
    return site_of(request).pages.fragment(
        "jobs/_live.html", "changes", **context, **page_context(request)
    )


def _is_wanted(row: JobRow, query: JobQuery) -> bool:
    """Whether a row that was just seen belongs to the list; never true with a group or keys."""
    return query.error_group is None and not query.keys and query.fits(row, text=query.text)


def _newest_rows(batch: Batch) -> list[JobRow]:
    newest = {entry.event.job_id: entry.event for entry in batch}
    return [JobRow.of(event) for event in newest.values()]
