"""Limit the size of request bodies, so that no client fills the memory."""

from __future__ import annotations

import re

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from jobfleet_contracts.json_check import MAX_PAYLOAD_BYTES
from jobfleet_dashboard.problems import problem_response, too_large

MAX_BODY_BYTES = 2 * MAX_PAYLOAD_BYTES
"""The payload and as much again for escapes and the other fields."""
MAX_BULK_BYTES = 8 * MAX_PAYLOAD_BYTES
"""A thousand jobs of 8 KiB. Decoding more at once would hold the event loop too long."""
MAX_SMALL_BYTES = 256 * 1024
"""Everything that carries no payload: 1,000 ids, a reason, a key."""
MAX_STREAMED_BYTES = 16 * MAX_PAYLOAD_BYTES
"""Size of a callback's body: past 1 MiB its signature is still checked, but nothing is kept."""
_LIMITS = {
    "/api/jobs/bulk": MAX_BULK_BYTES,
    "/api/jobs": MAX_BODY_BYTES,
    "/submit": MAX_BODY_BYTES,
}
_MEMBERS = re.compile("/api/groups/[^/]+/members")
_DIGITS = 18
_NUMBER = re.compile("[0-9]+")
_CALLBACKS = "/api/callbacks/"


class BodyLimit:
    """Answers 413 as soon as a body is announced or grows over its limit."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD"):
            await self._app(scope, receive, send)
            return
        path = scope["path"]
        limit = MAX_STREAMED_BYTES if path.startswith(_CALLBACKS) else limit_of(path)
        announced = Headers(scope=scope).get("content-length", "0")
        if _NUMBER.fullmatch(announced) and int(announced[:_DIGITS]) > limit:
            await problem_response(too_large(limit))(scope, receive, send)
            return
        await self._app(scope, _counted(receive, limit), send)


def limit_of(path: str) -> int:
    """Return how many bytes a body sent to this path may have."""
    if path.startswith(_CALLBACKS):
        return MAX_PAYLOAD_BYTES
    if _MEMBERS.fullmatch(path):
        return MAX_BULK_BYTES
    return _LIMITS.get(path, MAX_SMALL_BYTES)


def _counted(receive: Receive, limit: int) -> Receive:
    seen = 0

    async def counted() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > limit:
            raise too_large(limit)
        return message

    return counted
