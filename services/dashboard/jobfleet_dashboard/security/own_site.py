"""Keeps other web sites from acting through a visitor's browser."""

from __future__ import annotations

import re

from modern_csrf.base import should_accept_request
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from jobfleet_dashboard.problems import forbidden, problem_response
from jobfleet_dashboard.security.bind import is_loopback

_HOST = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(:[0-9]{1,5})?", re.ASCII)
_SIGNED = "/api/callbacks/"
"""Third parties reach these by any name; a signature protects them."""


class OwnSite:
    """Refuses changes asked for by another site, and unknown ``Host`` names on loopback.

    The first by Fetch metadata (``Sec-Fetch-Site``, else ``Origin``). The second because a name
    of a stranger may be made to point at this machine (DNS rebinding); ``loopback_only`` is set
    where no key protects a dashboard on loopback.
    """

    def __init__(self, app: ASGIApp, *, loopback_only: bool) -> None:
        self._app = app
        self._loopback_only = loopback_only

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        refusal = self._refusal(scope) if scope["type"] == "http" else None
        if refusal is not None:
            answer = problem_response(forbidden(refusal, "cross-site-request"))
            await answer(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _refusal(self, scope: Scope) -> str | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        signed = scope["path"].startswith(_SIGNED)
        if self._loopback_only and not signed and not _is_own(host):
            return (
                f"Host {host[:100]!r} is not this machine's; open the dashboard as localhost or "
                "127.0.0.1, or set JOBFLEET_API_KEYS"
            )
        accepted = should_accept_request(
            method=scope["method"],
            origin=headers.get("origin"),
            sec_fetch_site=headers.get("sec-fetch-site"),
            host=host,
            trusted_origins=(),
        )
        return None if accepted else "this change was asked for by another web site"


def _is_own(host: str) -> bool:
    """Whether all of a ``Host`` header is a name or address of this machine, port or not."""
    found = _HOST.fullmatch(host)
    return found is not None and is_loopback(found["name"])
