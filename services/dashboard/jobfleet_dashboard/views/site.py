"""What all pages share: templates, renderings, and the context of each page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse

from jobfleet_dashboard.security.access import principal_of
from jobfleet_dashboard.security.principal import Role
from jobfleet_dashboard.services import Services, services_of
from jobfleet_dashboard.views.pages import Pages, html, is_partial
from jobfleet_dashboard.views.renderings import Renderings

_DONE = {"cancel": "Cancelled", "redrive": "Redriven", "dismiss": "Dismissed"}


@dataclass(frozen=True, slots=True)
class Site:
    """What views share, as ``request.app.state.site``."""

    pages: Pages
    renderings: Renderings

    @classmethod
    def install(cls, app: FastAPI, services: Services) -> None:
        """Make it and keep it in the application."""
        app.state.site = cls(
            pages=Pages(version=services.options.version, root_path=services.options.root_path),
            renderings=Renderings(clock=services.clock),
        )


def site_of(request: Request) -> Site:
    """Return what views share."""
    site: Site = request.app.state.site
    return site


async def live_cursor(request: Request) -> str:
    """Return the timeline's end: read it before the events that a page shows."""
    newest = await services_of(request).backend.reader.since(None)
    return newest[-1].cursor if newest else ""


async def look_for_seal(request: Request) -> None:
    """Learn whether the fleet is sealed, before any page is rendered."""
    await services_of(request).seal.read()


def page_context(
    request: Request, nav: str = "", live_url: str | None = None, *, cursor: str = ""
) -> dict[str, Any]:
    """Return the context of every page: the caller, what that role may do, the time.

    Args:
        live_url: address of its stream; ``None`` if the page does not change.
        cursor: place in the timeline; the page shows all events up to it.
    """
    principal = principal_of(request)
    return {
        "seal": services_of(request).seal.known if principal else None,
        "nav": nav,
        "live_url": live_url,
        "live_cursor": cursor,
        "live_sign": "connecting" if live_url else "off",
        "now": services_of(request).clock.now(),
        "watched": principal is not None,
        "user": principal.name if principal else None,
        "may_submit": principal is not None and principal.may(Role.SUBMITTER),
        "may_operate": principal is not None and principal.may(Role.OPERATOR),
        "notice": _done(request.query_params.get("done", "")),
    }


def _done(text: str) -> str | None:
    """Return what an action on many jobs came to, from the address that it led to."""
    action, _, counts = text.partition(".")
    done, _, refused = counts.partition(".")
    if action not in _DONE or not done.isdecimal():
        return None
    message = f"{_DONE[action]} {_jobs(done)}."
    return f"{message} {_jobs(refused)} no longer allowed it." if refused.isdecimal() else message


def _jobs(count: str) -> str:
    return f"{int(count[:6]):,} {'job' if count == '1' else 'jobs'}"


def show(
    request: Request, template: str, *, block: str | None = None, **context: Any
) -> HTMLResponse:
    """Answer with the page, or with its block where htmx asks for a fragment."""
    pages = site_of(request).pages
    status = context.pop("status", 200)
    if block is not None and is_partial(request):
        return html(pages.fragment(template, block, **context), status)
    return html(pages.page(template, **context), status)
