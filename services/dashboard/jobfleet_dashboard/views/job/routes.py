"""One job: ``/jobs/{job_id}``, its stream, and what may be done with it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response

from jobfleet_contracts.cut_text import cut_text
from jobfleet_contracts.errors import NotFound
from jobfleet_dashboard.api.actions import act
from jobfleet_dashboard.api.request_parts import read_form
from jobfleet_dashboard.live.subscription import Batch
from jobfleet_dashboard.problems import unknown_job
from jobfleet_dashboard.security.access import asker, asker_name, require
from jobfleet_dashboard.security.principal import Role
from jobfleet_dashboard.services import Services, services_of
from jobfleet_dashboard.views.job.attempt_row import attempt_rows
from jobfleet_dashboard.views.job.history import HistoryItem, StepsRow, is_known, items_after
from jobfleet_dashboard.views.job.job_actions import ERASE_VERB
from jobfleet_dashboard.views.job.job_page import JobPage, job_page
from jobfleet_dashboard.views.job.job_view import JobView, read_job_view
from jobfleet_dashboard.views.live_stream import live_stream, message, moment_of, partial
from jobfleet_dashboard.views.pages import Pages, go_to
from jobfleet_dashboard.views.site import page_context, show, site_of
from jobfleet_protocol.reading.job_actions import JobAction
from jobfleet_protocol.reading.job_record import JobRecord
from jobfleet_protocol.reading.masking_turns import in_turn, texts_of

TEMPLATE = "job/show.html"
ALWAYS = ("head",)
AS_TIME_GOES_ON = ("timeline", "attempts")
OF_A_GROUP = ("timeline",)
ON_A_NEW_STATE = ("actions", "facts", "documents")

router = APIRouter(dependencies=[require(Role.VIEWER)], include_in_schema=False)


@router.get("/jobs/{job_id}")
async def job(
    request: Request, job_id: str, before: Annotated[int | None, Query(ge=2, lt=2**31)] = None
) -> Response:
    """Show what happened to a job, in order; ``before`` pages back in a long history."""
    job_id = known_id(job_id)
    services = services_of(request)
    view = await read_job_view(services, job_id, before=before)
    page = await _page(services, view)
    live = page.live and before is None
    live_url = f"/stream/jobs/{job_id}?after={page.cursor}" if live else None
    context: dict[str, Any] = {"job": page, **page_context(request, "jobs", live_url)}
    return show(request, TEMPLATE, **context | ({} if page.live else {"live_sign": "ended"}))


@router.get("/jobs/{job_id}/attempts/{epoch}")
async def attempt(
    request: Request, job_id: str, epoch: Annotated[int, Path(ge=1, lt=2**31)]
) -> Response:
    """Show one attempt with its whole error."""
    job_id = known_id(job_id)
    view = await read_job_view(services_of(request), job_id)
    row = next((row for row in attempt_rows(view.lifecycle) if row.epoch == epoch), None)
    if row is None:
        raise NotFound(f"this page has no attempt with epoch {epoch}; the API has all attempts")
    context: dict[str, Any] = {"job_id": job_id, "name": view.newest.facts.job_name, "row": row}
    return show(request, "job/attempt.html", **context, **page_context(request, "jobs"))


@router.get("/stream/jobs/{job_id}")
async def stream(request: Request, job_id: str, after: int = 0) -> Response:
    """Keep the page of a job up to date until the job ends."""
    job_id = known_id(job_id)
    seen, over = seen_of(request, after), False
    known: JobRecord | None = None

    async def update(batch: Batch | None) -> bytes:
        nonlocal seen, over, known
        view, text = await _news(request, job_id, batch, since=seen, known=known)
        seen, over = view.record.last_sequence, view.newest.after.state.is_terminal
        known = view.record
        return text

    return await live_stream(request, update, job_id=job_id, is_over=lambda: over)


async def _news(
    request: Request, job_id: str, batch: Batch | None, *, since: int, known: JobRecord | None
) -> tuple[JobView, bytes]:
    """Return what the page needs after event ``since``; read and rendered once for all viewers."""
    renderings, services = site_of(request).renderings, services_of(request)
    moment = moment_of(batch, services.live)
    view = await renderings.share(
        ("job", job_id, moment), lambda: read_job_view(services, job_id, known=known)
    )

    async def render() -> bytes:
        page = await _page(services, view)
        html = _fragments(request, page, since=since, opens=batch is None)
        return message(html, str(view.record.last_sequence))

    may_operate = str(page_context(request)["may_operate"])
    key = ("job", job_id, moment, str(since), str(view.record.last_sequence), may_operate)
    return view, await renderings.share(key, render)


@router.post("/jobs/{job_id}/run-anyway", dependencies=[require(Role.OPERATOR)])
async def run_anyway(request: Request, job_id: str) -> Response:
    """Let the job start once though its queue or type is paused, then show it again."""
    job_id = known_id(job_id)
    services = services_of(request)
    by = asker_name(request)
    await services.pauses.run_job_anyway(job_id, trail=services.backend.trail, by=by)
    return go_to(request, f"/jobs/{job_id}")


@router.post("/jobs/{job_id}/{verb}", dependencies=[require(Role.OPERATOR)])
async def change(request: Request, job_id: str, verb: str) -> Response:
    """Cancel, redrive, dismiss or erase, then show the job again."""
    job_id = known_id(job_id)
    if verb not in (*JobAction, ERASE_VERB):
        raise unknown_job(f"{job_id}/{verb}")
    reason = cut_text(str((await read_form(request)).get("reason", "")), 500)
    services, by = services_of(request), asker(request)
    if verb == ERASE_VERB:
        await services.writes.eraser.erase(job_id, by=by, reason=reason)
    else:
        await act(services, JobAction(verb), job_id, by, reason)
    return go_to(request, f"/jobs/{job_id}")


def seen_of(request: Request, after: int) -> int:
    """Return the last event that the page shows: a browser that comes again has seen more."""
    last = request.headers.get("last-event-id", "")[:10]
    return max(after, int(last)) if last.isdecimal() else after


def known_id(text: str) -> str:
    """Return the id as the trail writes it.

    Raises:
        Problem: 404, where the text is not a UUID.
    """
    try:
        return str(UUID(text))
    except ValueError:
        raise unknown_job(text) from None


async def _page(services: Services, view: JobView) -> JobPage:
    texts = [texts_of(event) for event in (*view.record.events, *view.earlier)]
    return await in_turn(
        lambda each: job_page(each, trace_url=services.options.trace_url), view, texts
    )


def _fragments(request: Request, page: JobPage, *, since: int, opens: bool) -> str:
    """Return what a page needs that knows all events up to ``since``."""
    pages = site_of(request).pages
    context = {"job": page, **page_context(request)}
    new = items_after(page.history, since)
    same_state = all(isinstance(item, StepsRow) for item in new)
    names: tuple[str, ...] = ALWAYS
    if new or not opens:
        names += AS_TIME_GOES_ON if not page.is_group else OF_A_GROUP
    if not same_state or not since:
        names += ON_A_NEW_STATE
    html = "".join(partial(name, pages.fragment(TEMPLATE, name, **context)) for name in names)
    return html + _history(pages, page.job_id, new, since)


def _history(pages: Pages, job_id: str, new: Sequence[HistoryItem], since: int) -> str:
    """Put new lines before the others, newest first; a fold that has grown stays where it is."""
    html, template = "", "job/_history.html"
    for item in new:
        if isinstance(item, StepsRow) and is_known(item, since):
            inner = pages.fragment(template, "steps", steps=item, job_id=job_id)
            html += partial(f"steps-{item.after}", inner)
    arrivals = [item for item in reversed(new) if not is_known(item, since)]
    if arrivals:
        lines = pages.fragment(template, "arrivals", arrivals=arrivals, job_id=job_id)
        html += partial("arriving", lines, "afterbegin")
    return html
