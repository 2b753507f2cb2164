"""Finds out who asks, and turns away who does not say."""

from __future__ import annotations

import asyncio
from urllib.parse import quote

from fastapi import Request
from starlette.datastructures import URL
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from jobfleet_dashboard.head_requests import is_stream
from jobfleet_dashboard.problems import not_authenticated, problem_response, wants_page
from jobfleet_dashboard.security.api_keys import ApiKeys
from jobfleet_dashboard.security.principal import EVERYBODY, Principal
from jobfleet_dashboard.security.sessions import COOKIE, LOOK_AGAIN_SECONDS, Session, Sessions

_OPEN = ("/livez", "/readyz", "/login", "/logout", "/openapi.json", "/docs", "/favicon.ico")
_OPEN_FOLDERS = ("/static/", "/docs/", "/api/callbacks/")


class Gate:
    """Sets ``request.state.principal``; roles are asked for by each route (see ``access``).

    Probes, the login, the API's description and callbacks (which are signed) are open.
    """

    def __init__(self, app: ASGIApp, *, keys: ApiKeys, sessions: Sessions) -> None:
        self._app = app
        self._keys = keys
        self._sessions = sessions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        principal, session = await self._who(request)
        scope.setdefault("state", {})["principal"] = principal
        path = scope["path"]
        if principal is None and path not in _OPEN and not path.startswith(_OPEN_FOLDERS):
            await _turned_away(request)(scope, receive, send)
            return
        if session is None or not is_stream(path):
            await self._app(scope, receive, send)
            return
        watch = _SessionWatch(self._sessions, session, receive)
        await self._app(scope, watch.receive, send)
        if watch.ended:
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _who(self, request: Request) -> tuple[Principal | None, Session | None]:
        if not self._keys:
            return EVERYBODY, None
        if (secret := _secret(request)) is not None:
            key = self._keys.find(secret)
            return (None if key is None else key.principal), None
        session = await self._sessions.read(request.cookies.get(COOKIE, ""))
        return (None if session is None else session.key.principal), session


class _SessionWatch:
    """Ends a stream at its session's logout, as if the browser had gone."""

    def __init__(self, sessions: Sessions, session: Session, receive: Receive) -> None:
        self._sessions = sessions
        self._session = session
        self._receive = receive
        self.ended = False

    async def receive(self) -> Message:
        """Return the next message, or a disconnect once the session has ended."""
        message = asyncio.create_task(self._await_message(), name="stream-receive")
        try:
            while not (await asyncio.wait([message], timeout=LOOK_AGAIN_SECONDS))[0]:
                if await self._sessions.has_ended(self._session):
                    self.ended = True
                    return {"type": "http.disconnect"}
            return message.result()
        finally:
            message.cancel()

    async def _await_message(self) -> Message:
        return await self._receive()


def _secret(request: Request) -> str | None:
    """Return the key that a script sent."""
    secret = request.headers.get("x-api-key")
    scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
    if secret is None and scheme.lower() == "bearer":
        return credentials.strip()
    return secret


def _turned_away(request: Request) -> Response:
    scripted = "hx-request" in request.headers  # a stream must not end in a login page
    if request.method == "GET" and wants_page(request) and not scripted:
        here = URL(scope=request.scope)
        back = here.path + (f"?{here.query}" if here.query else "")
        return RedirectResponse(f"/login?next={quote(back, safe='')}", status_code=303)
    how = "send a key as `Authorization: Bearer KEY` or `X-API-Key: KEY`, or log in at /login"
    unknown = "" if _secret(request) is None else "the key that was sent is not known; "
    return problem_response(not_authenticated(f"{unknown}{how}"))
