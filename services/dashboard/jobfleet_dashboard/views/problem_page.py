"""Errors for people: what is wrong, what to do, and a page that recovers by itself."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import unquote, urlsplit

from fastapi import Request
from fastapi.responses import Response
from fastapi_problem.error import Problem

from jobfleet_contracts.backend import Probe
from jobfleet_contracts.errors import BackendError
from jobfleet_dashboard.services import services_of
from jobfleet_dashboard.views.pages import html, is_partial
from jobfleet_dashboard.views.site import page_context, site_of

RETRY_SECONDS = 5
_UNAVAILABLE, _NOT_FOUND = 503, 404
_LISTS = {
    "workers": "No worker of the last seven days is called {name}.",
    "types": "A type has no page of its own: the list of types has the figures of {name}, if it is "
    "known.",
    "queues": "A queue has no page of its own: the list of queues has {name}, if there is one.",
    "schedules": "There is no schedule {name}.",
    "errors": "There is no error group {name} within the last seven days.",
    "actions": "There is no action {name}.",
    "groups": "There is no group {name}.",
}
"""What is said of a name below the address of each list."""


async def problem_page(request: Request, problem: Problem) -> Response:
    """Answer with a page, or with a line for the notice where htmx asked."""
    context = page_context(request) | {
        "problem": problem,
        "probes": await _probes(request) if problem.status == _UNAVAILABLE else (),
        "retry_seconds": RETRY_SECONDS,
        "asked_from": None if request.method in ("GET", "HEAD") else _asked_from(request),
        "way": _way(_within(request)) if problem.status == _NOT_FOUND else None,
        "sought": _within(request).rpartition("/")[2][:100],
    }
    pages = site_of(request).pages
    if is_partial(request):
        answer = html(pages.fragment("errors/_notice.html", "notice", **context), problem.status)
        answer.headers.update({"HX-Retarget": "#notice", "HX-Reswap": "innerHTML"})
    else:
        answer = html(pages.page("errors/index.html", **context), problem.status)
    answer.headers.update(problem.headers or {})
    return answer


def _way(path: str) -> tuple[str, str, str] | None:
    """Return address and name of the list that the path is below, and what is said of the rest."""
    section, _, name = path.strip("/").partition("/")
    if section not in _LISTS or not name:
        return None
    listed = "/jobs?type=group.wait" if section == "groups" else f"/{section}"
    return listed, section, _LISTS[section].format(name=name[:100])


def _within(request: Request) -> str:
    return unquote(request.url.path).removeprefix(services_of(request).options.root_path)


def _asked_from(request: Request) -> str:
    """Return the page of ours whose form was sent, so that the user can look what came of it."""
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
