"""Serving the dashboard below a path of a host, as ``/jobs`` of ``https://example.org``."""

from __future__ import annotations

from fastapi import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from jobfleet_dashboard.problems import no_such_page, problem_response
from jobfleet_dashboard.services import services_of

_PROBES = frozenset({"/livez", "/readyz"})
_ADDRESSES = frozenset({b"location", b"hx-redirect", b"hx-push-url", b"hx-replace-url"})


class RootPath:
    """Takes the root path off what is asked, and puts it before the addresses in answers' headers.

    The application within knows addresses from its own root only. A proxy passes the root path on;
    what is asked without it is 404, except for the probes, which ask the process itself.
    """

    def __init__(self, app: ASGIApp, *, root_path: str) -> None:
        self._app = app
        self._root = root_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["path"] in _PROBES:
            await self._app(scope, receive, send)
            return

        async def send_rooted(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [self._rooted(*each) for each in message["headers"]]
                message = {**message, "headers": headers}
            await send(message)

        path: str = scope["path"]
        if path == self._root or path.startswith(f"{self._root}/"):
            within = path.removeprefix(self._root) or "/"
            raw = scope.get("raw_path") or path.encode()
            raw = raw.removeprefix(self._root.encode()) or b"/"
            await self._app({**scope, "path": within, "raw_path": raw}, receive, send_rooted)
        else:
            absent = no_such_page(f"this dashboard answers below {self._root}/")
            await problem_response(absent)(scope, receive, send)

    def _rooted(self, name: bytes, value: bytes) -> tuple[bytes, bytes]:
        if name.lower() not in _ADDRESSES:
            return name, value
        return name, rooted(value.decode("latin-1"), self._root).encode("latin-1")


def rooted(address: str, root_path: str) -> str:
    """Return an address of the application as a browser must ask for it.

    Addresses of other hosts, and those relative to a page, stay as they are.
    """
    begins_at_root = address.startswith("/") and not address.startswith("//")
    return root_path + address if begins_at_root else address


def public(request: Request, address: str) -> str:
    """Return an address of the application as it stands in the body of an answer."""
    return rooted(address, services_of(request).options.root_path)
