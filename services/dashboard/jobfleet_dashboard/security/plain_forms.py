"""Forms come as pages send them, never as multipart."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from jobfleet_dashboard.problems import no_multipart, problem_response


class PlainForms:
    """Answers 415 to multipart forms.

    No page sends one, and the framework decodes their fields with whatever codec of Python's the
    sender names: half a megabyte of ``charset=punycode`` would hold the process for minutes.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; the API reads JSON whatever its type is called."""
        if scope["type"] == "http" and not scope["path"].startswith("/api/"):
            kind = Headers(scope=scope).get("content-type", "")
            if kind.lstrip().lower().startswith("multipart/"):
                await problem_response(no_multipart())(scope, receive, send)
                return
        await self._app(scope, receive, send)
