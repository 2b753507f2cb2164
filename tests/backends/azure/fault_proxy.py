"""A proxy in front of the storage that spoils replies to requests which it has let through."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Self
from urllib.parse import urlsplit


class Fault(Enum):
    """What happens to one exchange; the request is applied but for ``REFUSE``."""

    NONE = "passed on"
    DROP_REPLY = "applied, then the connection is closed"
    BUSY_REPLY = "applied, then 503 is answered"
    REFUSE = "not applied, 403 is answered"
    BAD_REQUEST = "not applied, 400 is answered"
    SERVER_FAULT = "not applied, 500 is answered"


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request as the proxy saw it: ``POST``, ``/account/Table`` with its query."""

    method: str
    path: str
    body: bytes = b""

    @property
    def rows(self) -> int:
        """How many rows of a table the request writes; a transaction writes several."""
        if self.path.partition("?")[0].endswith("$batch"):
            return self.body.count(b" HTTP/1.1\r\n")
        return int(self.method != "GET")


_BUSY = (
    b"HTTP/1.1 503 Busy\r\nx-ms-error-code: ServerBusy\r\nContent-Length: 0\r\n"
    b"Connection: close\r\n\r\n"
)
_NOT_APPLIED = {
    Fault.REFUSE: b"403 Forbidden\r\nx-ms-error-code: AuthorizationPermissionMismatch",
    Fault.BAD_REQUEST: b"400 Bad Request\r\nx-ms-error-code: InvalidInput",
    Fault.SERVER_FAULT: b"500 Server Error\r\nx-ms-error-code: InternalError",
}


class FaultProxy:
    """Passes on requests to one endpoint; ``choose`` decides what becomes of each reply."""

    def __init__(self, *, endpoint: str) -> None:
        parts = urlsplit(endpoint)
        self._upstream = parts.hostname, parts.port
        self._path = parts.path
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.exchanges: list[Exchange] = []
        self.choose: Callable[[Exchange], Fault] = lambda _: Fault.NONE

    @property
    def endpoint(self) -> str:
        assert self._server is not None
        port = self._server.sockets[0].getsockname()[1]
        return f"http://127.0.0.1:{port}{self._path}"

    def once(self, fault: Fault, method: str) -> None:
        """Let the next request with this method meet a fault."""
        left = [fault]
        self.choose = lambda seen: left.pop() if left and seen.method == method else Fault.NONE

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        upstream = await asyncio.open_connection(*self._upstream)
        try:
            while await self._exchange(reader, writer, *upstream):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            upstream[1].close()
            writer.close()

    async def _exchange(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        server_reader: asyncio.StreamReader,
        server_writer: asyncio.StreamWriter,
    ) -> bool:
        head, body = await _message(reader)
        method, path, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
        seen = Exchange(method, path, body)
        self.exchanges.append(seen)
        fault = self.choose(seen)
        if (answer := _NOT_APPLIED.get(fault)) is not None:
            writer.write(
                b"HTTP/1.1 " + answer + b"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            )
            await writer.drain()
            return False
        server_writer.write(head + body)
        reply_head, reply_body = await _message(server_reader, is_reply_to=method)
        if fault is Fault.NONE:
            writer.write(reply_head + reply_body)
        elif fault is Fault.BUSY_REPLY:
            writer.write(_BUSY)
        await writer.drain()
        return fault is Fault.NONE


async def _message(
    reader: asyncio.StreamReader, *, is_reply_to: str | None = None
) -> tuple[bytes, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    fields = {
        name.lower(): value.strip()
        for name, _, value in (line.partition(":") for line in lines[1:])
    }
    if is_reply_to == "HEAD" or (is_reply_to and lines[0].split(" ")[1] in ("204", "304")):
        return head, b""
    if fields.get("transfer-encoding") == "chunked":
        return head, await _chunks(reader)
    return head, await reader.readexactly(int(fields.get("content-length", "0")))


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while True:
        line = await reader.readuntil(b"\r\n")
        body += line + await reader.readexactly(int(line, 16) + 2)
        if int(line, 16) == 0:
            return body
