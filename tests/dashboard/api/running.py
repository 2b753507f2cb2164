"""A dashboard behind a real server on a free port."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp import ClientSession, ClientTimeout
from fastapi import FastAPI

from jobfleet_dashboard.server import serve


@dataclass(frozen=True)
class Running:
    """Where it listens, and how to end it."""

    address: str
    stop: asyncio.Event
    task: asyncio.Task[None]


@asynccontextmanager
async def running(app: FastAPI) -> AsyncIterator[Running]:
    """Serve until the block ends."""
    ready: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    stop = asyncio.Event()
    task = asyncio.create_task(serve(app, "127.0.0.1", 0, ready=ready.set_result, stop=stop))
    try:
        async with asyncio.timeout(60):
            port = await ready
        yield Running(f"http://127.0.0.1:{port}", stop, task)
    finally:
        stop.set()
        await task


@dataclass(frozen=True)
class Message:
    """One server-sent event."""

    id: str
    event: dict[str, Any]


class EventSource:
    """Reads a stream of server-sent events."""

    def __init__(self, session: ClientSession, url: str, *, last_id: str | None = None) -> None:
        self._session = session
        self._url = url
        self._headers = {} if last_id is None else {"Last-Event-ID": last_id}

    @asynccontextmanager
    async def open(self) -> AsyncIterator[AsyncIterator[Message]]:
        """Connect; the block is entered once the server has begun to answer."""
        timeout = ClientTimeout(total=None)
        async with self._session.get(self._url, headers=self._headers, timeout=timeout) as answer:
            assert answer.status == 200
            assert answer.content_type == "text/event-stream"
            await answer.content.readline()
            yield self._messages(answer.content)

    async def _messages(self, lines: asyncio.StreamReader | Any) -> AsyncIterator[Message]:
        fields: dict[str, str] = {}
        async for raw in lines:
            line = raw.decode().rstrip("\r\n")
            if not line and "data" in fields:
                yield Message(fields.get("id", ""), json.loads(fields["data"]))
            if not line:
                fields = {}
            name, _, value = line.partition(": ")
            fields[name] = value


async def take(messages: AsyncIterator[Message], count: int) -> list[Message]:
    """Return the next messages; fails after ten seconds."""
    taken: list[Message] = []
    async with asyncio.timeout(60):
        async for message in messages:
            taken.append(message)
            if len(taken) == count:
                return taken
    raise AssertionError(f"the stream ended after {len(taken)} of {count} messages")
