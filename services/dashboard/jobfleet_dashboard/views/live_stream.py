"""The server-sent events of a page: its fragments, rendered anew as things change."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from fastapi import Request
from sse_starlette import EventSourceResponse

from jobfleet_contracts.errors import BackendError, InvalidRequest
from jobfleet_contracts.ports import JobIndexReader
from jobfleet_dashboard.live.hub import LiveHub
from jobfleet_dashboard.live.subscription import Batch
from jobfleet_dashboard.services import services_of
from jobfleet_dashboard.views.page_state import PageState, digest_of
from jobfleet_dashboard.views.site import site_of

IDLE_SECONDS = 5.0
"""After so long without an event the fragments are rendered anew: heartbeats are not events."""
PING_SECONDS = 15
SEND_TIMEOUT_SECONDS = 10.0
DONE = b"event: done\r\ndata: \r\n\r\n"
POLL = b"event: poll\r\nretry: 3000\r\n\r\n"
"""Ends the answer to ``once``: the browser asks again in three seconds, holding no connection."""
NOTHING_NEW = b": nothing new\r\n\r\n"
MOST_MISSED = 500
"""A browser that missed more events than this gets all fragments."""


@dataclass(frozen=True, slots=True)
class Fragment:
    """A piece of a page.

    Attributes:
        target: id of the element that it goes to; empty where ``html`` names its targets itself.
        is_part: whether it is all that its element shows, so that an equal one need not be sent.
    """

    target: str
    html: str
    is_part: bool = False


Render = Callable[[Batch | None], Awaitable[Sequence[Fragment]]]
"""Returns the fragments that a batch changes; for ``None`` all fragments of the page."""
Update = Callable[[Batch | None], Awaitable[bytes]]
"""Returns the message for a batch."""


async def shared_stream(
    request: Request, key: tuple[str, ...], render: Render, *, pause_seconds: float = 0
) -> EventSourceResponse:
    """Return the stream of a page that looks the same to all who ask with this key.

    The first viewer of a batch renders and encodes it; the others are sent the same bytes.
    Parts that the page shows already are left out.

    Args:
        pause_seconds: batches that come so soon after the last rendering are left out. For pages
            that show no events: they are rendered anyway when it is silent.
    """
    services, state = services_of(request), PageState.of(request)
    renderings, live = site_of(request).renderings, services.live
    rendered_at = -math.inf

    async def update(batch: Batch | None) -> bytes:
        nonlocal rendered_at
        now = services.clock.boottime()
        if batch is not None and now < rendered_at + pause_seconds:
            return NOTHING_NEW
        rendered_at = now
        opening = ""
        if batch is None:
            # Read for this browser alone. Another browser's rendering may lack an event that came
            # after it, and this browser would not learn of that event.
            opening = f"opening {state} "
            batch = await _missed(services.backend.reader, state)
        moment = (*key, opening + moment_of(batch, live))
        fragments = await renderings.share(moment, lambda: render(batch))
        fragments = [*fragments, await _seal(request)]
        news = [one for one in fragments if not _is_shown(one, state)]
        state.parts |= {one.target: digest_of(one.html) for one in news if one.is_part}
        if batch:
            state.cursor = batch[-1].cursor

        async def once() -> bytes:
            return message("".join(_wrapped(one) for one in news), str(state))

        chosen = ",".join(one.target for one in news)
        return await renderings.share((*moment, chosen, str(state)), once)

    return await live_stream(request, update)


async def _seal(request: Request) -> Fragment:
    """Return what every page says of the fleet's seal."""
    seal = await services_of(request).seal.read()
    html = site_of(request).pages.fragment("layout.html", "seal", seal=seal)
    return Fragment("seal", html, is_part=True)


async def _missed(reader: JobIndexReader, state: PageState) -> Batch | None:
    """Return the events since the page was rendered, ``None`` if they are not known."""
    if not state.cursor:
        return None
    try:
        events = await reader.since(state.cursor, limit=MOST_MISSED)
    except (InvalidRequest, ValueError):
        return None
    return events if len(events) < MOST_MISSED else None


def _is_shown(fragment: Fragment, state: PageState) -> bool:
    known = state.parts.get(fragment.target)
    return fragment.is_part and known is not None and known == digest_of(fragment.html)


def _wrapped(fragment: Fragment) -> str:
    if not fragment.is_part:
        return fragment.html
    return partial(fragment.target, fragment.html)


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
    """Return a key for what a batch brings. Viewers with the same key get the same rendering.

    A page that opens has no batch. Its key is the newest event that this process has read. So two
    viewers who open a page share a rendering only if no event was read between them.
    """
    if batch is None:
        return f"opening {live.cursor}"
    return batch[-1].cursor if batch else "idle"


def message(html: str, event_id: str = "") -> bytes:
    """Return one server-sent event; a comment if there is no HTML."""
    if not html:
        return NOTHING_NEW
    # A carriage return would end the line too, and user text may hold one.
    text = html.replace("\r\n", "\n").replace("\r", "\n").replace("\n", "\r\ndata: ")
    head = f"id: {event_id}\r\n" if event_id else ""
    return f"{head}data: {text}\r\n\r\n".encode()


def partial(target: str, html: str, swap: str = "innerMorph") -> str:
    """Wrap a fragment for the element it goes to."""
    return f'<hx-partial hx-target="#{target}" hx-swap="{swap}">{html}</hx-partial>'
