"""What every answer forbids the browser: inline scripts and styles, frames, other hosts."""

from __future__ import annotations

from secure import (
    ContentSecurityPolicy,
    CrossOriginOpenerPolicy,
    CrossOriginResourcePolicy,
    ReferrerPolicy,
    Secure,
    XContentTypeOptions,
    XFrameOptions,
)
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_FIRST_REFUSAL = 400

_POLICY = (
    ContentSecurityPolicy()
    .default_src("'none'")
    .script_src("'self'")
    .style_src("'self'")
    .img_src("'self'", "data:")
    .font_src("'self'")
    .connect_src("'self'")
    .form_action("'self'")
    .base_uri("'none'")
    .frame_ancestors("'none'")
)


class ResponseHeaders:
    """Sets the security headers, and ``Cache-Control: no-store`` where a route says nothing."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._headers = Secure(
            csp=_POLICY,
            coop=CrossOriginOpenerPolicy().same_origin(),
            corp=CrossOriginResourcePolicy().same_origin(),
            referrer=ReferrerPolicy().same_origin(),
            xcto=XContentTypeOptions().nosniff(),
            xfo=XFrameOptions().deny(),
        ).headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(self._headers)
                headers.setdefault("Cache-Control", _caching(scope, message["status"]))
            await send(message)

        await self._app(scope, receive, send_with_headers)


def _caching(scope: Scope, status: int) -> str:
    """Static files whose address names their content (``?v=``) never change.

    A refusal is never kept: during an update the next replica may have the file.
    """
    if status >= _FIRST_REFUSAL or not scope["path"].startswith("/static/"):
        return "no-store"
    named = scope["query_string"].startswith(b"v=")
    return "public, max-age=31536000, immutable" if named else "no-cache"
