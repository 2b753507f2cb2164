"""Keeps other web sites from acting through a visitor's browser."""

from __future__ import annotations

from modern_csrf.base import should_accept_request
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from jobfleet_contracts.own_host import is_own_host
from jobfleet_dashboard.problems import forbidden, problem_response

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
        if self._loopback_only and not signed and not is_own_host(host):
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
