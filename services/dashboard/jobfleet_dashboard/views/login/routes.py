"""Logging in with a key: ``/login``."""

from __future__ import annotations

from urllib.parse import urlsplit

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from jobfleet_dashboard.api.request_parts import read_form
from jobfleet_dashboard.security.sessions import COOKIE
from jobfleet_dashboard.services import services_of
from jobfleet_dashboard.views.site import page_context, show

router = APIRouter(include_in_schema=False)


@router.get("/login")
async def form(request: Request, next: str = "/") -> Response:  # noqa: A002 - the URL's name
    """Ask for the key."""
    return _form(request, _own_path(next))


@router.post("/login")
async def login(request: Request) -> Response:
    """Open a session, or say that the key is not known."""
    sent = await read_form(request)
    back = _own_path(str(sent.get("next", "/")))
    services = services_of(request)
    found = services.keys.find(str(sent.get("key", "")).strip())
    if found is None:
        # Wrong ones only: one address may be the proxy of everybody who has a right key.
        await services.rate_limit.check_address(request, "login")
        return _form(request, back, "This key is not known.", status=401)
    answer = RedirectResponse(back, status_code=303)
    services.sessions.open(answer, found, secure=_came_over_https(request))
    return answer


@router.post("/logout")
async def logout(request: Request) -> Response:
    """End the session: its cookie works nowhere from now on."""
    sessions = services_of(request).sessions
    await sessions.end(request.cookies.get(COOKIE, ""))
    answer = RedirectResponse("/login", status_code=303)
    sessions.take_cookie(answer)
    return answer


def _form(request: Request, back: str, problem: str | None = None, status: int = 200) -> Response:
    context = page_context(request) | {"next": back, "problem": problem}
    return show(request, "login/index.html", status=status, **context)


def _came_over_https(request: Request) -> bool:
    """Whether the browser used https, as it says itself in ``Origin``.

    TLS ends at the proxy, whose ``X-Forwarded-`` headers any client may send. A client that lies
    in ``Origin`` only gets a cookie that it will not send back.
    """
    origin = request.headers.get("origin", "")
    return request.url.scheme == "https" or origin.startswith("https://")


def _own_path(address: str) -> str:
    """Return the address if it is a path of this site, else ``/``: no login leads elsewhere."""
    parts = urlsplit(address)
    stays = address.startswith("/") and not address.startswith(("//", "/\\"))
    return address if stays and not parts.netloc and address.isprintable() else "/"
