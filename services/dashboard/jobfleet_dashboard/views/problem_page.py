"""Errors for people: what is wrong, what to do, and a page that recovers by itself."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from fastapi import Request
from fastapi.responses import Response
from fastapi_problem.error import Problem

from jobfleet_contracts.backend import Probe
from jobfleet_contracts.errors import BackendError
from jobfleet_dashboard.services import services_of
from jobfleet_dashboard.views.pages import html, is_partial
from jobfleet_dashboard.views.site import page_context, site_of

RETRY_SECONDS = 5
_UNAVAILABLE = 503


async def problem_page(request: Request, problem: Problem) -> Response:
    """Answer with a page, or with a line for the notice where htmx asked."""
    told = page_context(request) | {
        "problem": problem,
        "probes": await _probes(request) if problem.status == _UNAVAILABLE else (),
        "retry_seconds": RETRY_SECONDS,
        "asked_from": None if request.method in ("GET", "HEAD") else _asked_from(request),
        "sought": request.url.path.rpartition("/")[2][:100],
    }
    pages = site_of(request).pages
    if is_partial(request):
        answer = html(pages.fragment("errors/_notice.html", "notice", **told), problem.status)
        answer.headers.update({"HX-Retarget": "#notice", "HX-Reswap": "innerHTML"})
    else:
        answer = html(pages.page("errors/index.html", **told), problem.status)
    answer.headers.update(problem.headers or {})
    return answer


def _asked_from(request: Request) -> str:
    """Return the page of ours whose form was sent, for somebody to look what came of it."""
    sent_by = urlsplit(request.headers.get("referer", ""))
    if sent_by.netloc != request.url.netloc or not sent_by.path.startswith("/"):
        return "/"
    query = f"?{sent_by.query}" if sent_by.query else ""
    within = sent_by.path.removeprefix(services_of(request).options.root_path)
    return f"/{within.lstrip('/')}{query}"


async def _probes(request: Request) -> Sequence[Probe]:
    try:
        return await services_of(request).backend.probe()
    except BackendError:
        return ()
