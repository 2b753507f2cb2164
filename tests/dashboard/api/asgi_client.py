"""Requests to an application without a socket; bodies and headers go as they are given."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from fastapi import FastAPI


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class AsgiClient:
    """Calls the application as a server would."""

    def __init__(self, app: FastAPI, *, headers: Mapping[str, str] | None = None) -> None:
        self.app = app
        self.headers = {"host": "localhost"} | dict(headers or {})

    async def get(self, path: str, **query: Any) -> Answer:
        return await self.request("GET", path, query=query)

    async def post(
        self, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        return await self.request("POST", path, body=body, headers=headers)

    async def request(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, Any] | None = None,
        parts: int = 0,
    ) -> Answer:
        """Return the answer; of a stream at least ``parts`` parts, then the client leaves."""
        raw = (
            body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        )
        sent = [{"type": "http.request", "body": raw, "more_body": False}]
        received: list[dict[str, Any]] = []

        answered = asyncio.Event()

        async def receive() -> dict[str, Any]:
            if sent:
                return sent.pop()
            if "/stream" not in path or parts:  # streams end when the client leaves
                await answered.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            received.append(message)
            is_last = message["type"] == "http.response.body" and not message.get("more_body")
            if is_last or 0 < parts < len(received):
                answered.set()

        try:
            await self.app(self._scope(method, path, headers, query), receive, send)
        except Exception:  # the framework raises again what it has answered with 500
            if not received:
                raise
        return _answer(received)

    def _scope(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None,
        query: Mapping[str, Any] | None,
    ) -> dict[str, Any]:
        path, _, own_query = path.partition("?")
        named = self.headers | dict(headers or {})
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": (own_query or urlencode(query or {})).encode(),
            "root_path": "",
            "headers": [(k.lower().encode(), v.encode("latin-1")) for k, v in named.items()],
            "client": ("127.0.0.1", 50000),
            "server": ("127.0.0.1", 8000),
        }


def _answer(received: list[dict[str, Any]]) -> Answer:
    start = received[0]
    headers = {k.decode().lower(): v.decode("latin-1") for k, v in start["headers"]}
    body = b"".join(message.get("body", b"") for message in received[1:])
    return Answer(start["status"], headers, body)
