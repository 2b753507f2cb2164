"""The server-sent events of a page: its fragments, rendered anew as things change."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing

from fastapi import Request
from sse_starlette import EventSourceResponse

from jobfleet_contracts.errors import BackendError
from jobfleet_dashboard.live.hub import LiveHub
from jobfleet_dashboard.live.subscription import Batch
from jobfleet_dashboard.services import services_of
from jobfleet_dashboard.views.site import site_of

IDLE_SECONDS = 5.0
"""After so much silence fragments are rendered anyway: heartbeats are no events."""
PING_SECONDS = 15
SEND_TIMEOUT_SECONDS = 10.0
DONE = b"event: done\r\ndata: \r\n\r\n"
POLL = b"event: poll\r\nretry: 3000\r\n\r\n"
"""Ends the answer to ``once``: the browser asks again in three seconds, holding no connection."""
NOTHING_NEW = b": nothing new\r\n\r\n"

Render = Callable[[Batch | None], Awaitable[str]]
"""Returns HTML for a batch; ``None`` asks for all that brings an older page up to date."""
Update = Callable[[Batch | None], Awaitable[bytes]]
"""Returns the message for a batch."""


async def shared_stream(
    request: Request, key: tuple[str, ...], render: Render, *, pause_seconds: float = 0
) -> EventSourceResponse:
    """Return the stream of a page that looks the same to all who ask with this key.

    Whoever comes first renders and encodes a batch; the others are sent the same bytes.

    Args:
        pause_seconds: batches that come so soon after the last rendering are left out. For pages
            that show no events: they are rendered anyway when it is silent.
    """
    services = services_of(request)
    renderings, live = site_of(request).renderings, services.live
    rendered_at = -math.inf

    async def update(batch: Batch | None) -> bytes:
        nonlocal rendered_at
        now = services.clock.boottime()
        if batch is not None and now < rendered_at + pause_seconds:
            return NOTHING_NEW
        rendered_at = now

        async def once() -> bytes:
            return message(await render(batch), batch)

        return await renderings.share((*key, moment_of(batch, live)), once)

    return await live_stream(request, update)


async def live_stream(
    request: Request,
    update: Update,
    *,
    job_id: str | None = None,
    is_over: Callable[[], bool] = lambda: False,
) -> EventSourceResponse:
    """Return the stream of one page; it begins by bringing the page up to date.

    Args:
        is_over: asked after each update, whether nothing more can come; the browser then stops.

    Raises:
        BackendUnavailable: the page cannot be brought up to date: nothing is live then.
    """
    messages = _messages(request, update, job_id, is_over)
    return EventSourceResponse(
        _begun(await anext(messages), messages),
        ping=PING_SECONDS,
        send_timeout=SEND_TIMEOUT_SECONDS,
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _begun(first: bytes, rest: AsyncGenerator[bytes]) -> AsyncIterator[bytes]:
    """Yield what was made before the answer began, then the rest until the backend fails."""
    async with aclosing(rest):
        yield first
        try:
            async for text in rest:
                yield text
        except BackendError:
            return


async def _messages(
    request: Request, update: Update, job_id: str | None, is_over: Callable[[], bool]
) -> AsyncGenerator[bytes]:
    async with services_of(request).live.subscribe(job_id=job_id) as subscription:
        batch: Batch | None = None
        while True:
            yield await update(batch)
            if is_over():
                yield DONE
                return
            if "once" in request.query_params:
                yield POLL
                return
            batch = await subscription.next(IDLE_SECONDS)
            if batch is None:
                return


def moment_of(batch: Batch | None, live: LiveHub) -> str:
    """Name what a batch brings, the same for everybody who was handed it.

    Who opens a page shares with others only what was read after the events that they all missed.
    """
    if batch is None:
        return f"opening {live.cursor}"
    return batch[-1].cursor if batch else "idle"


def message(html: str, batch: Batch | None) -> bytes:
    """Return one server-sent event, whose id is the batch's cursor; a comment without HTML."""
    if not html:
        return NOTHING_NEW
    # A carriage return would end the line too, and user text may hold one.
    text = html.replace("\r\n", "\n").replace("\r", "\n").replace("\n", "\r\ndata: ")
    cursor = f"id: {batch[-1].cursor}\r\n" if batch else ""
    return f"{cursor}data: {text}\r\n\r\n".encode()


def partial(target: str, html: str, swap: str = "innerMorph") -> str:
    """Wrap a fragment for the element it goes to."""
    return f'<hx-partial hx-target="#{target}" hx-swap="{swap}">{html}</hx-partial>'
