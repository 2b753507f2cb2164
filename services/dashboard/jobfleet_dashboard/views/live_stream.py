"""The server-sent events of a page: its fragments, rendered anew as things change."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

from fastapi import Request
from sse_starlette import EventSourceResponse, ServerSentEvent

from jobfleet_contracts.errors import BackendError
from jobfleet_dashboard.live.subscription import Batch
from jobfleet_dashboard.services import services_of

IDLE_SECONDS = 5.0
"""After so much silence fragments are rendered anyway: heartbeats are no events."""
PING_SECONDS = 15
SEND_TIMEOUT_SECONDS = 10.0
DONE = ServerSentEvent(event="done", data="")

Update = Callable[[Batch | None], Awaitable[str]]
"""Returns HTML for a batch; ``None`` asks for all that brings an older page up to date."""


def live_stream(
    request: Request,
    update: Update,
    *,
    job_id: str | None = None,
    is_over: Callable[[], bool] = lambda: False,
) -> EventSourceResponse:
    """Return the stream of one page; it begins by bringing the page up to date.

    Args:
        is_over: asked after each update, whether nothing more can come; the browser then stops.
    """
    return EventSourceResponse(
        _messages(request, update, job_id, is_over),
        ping=PING_SECONDS,
        send_timeout=SEND_TIMEOUT_SECONDS,
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _messages(
    request: Request, update: Update, job_id: str | None, is_over: Callable[[], bool]
) -> AsyncIterator[ServerSentEvent]:
    async with services_of(request).live.subscribe(job_id=job_id) as subscription:
        batch: Batch | None = None
        while True:
            try:
                html = await update(batch)
            except BackendError:
                return
            yield _message(html, batch or ())
            if is_over():
                yield DONE
                return
            batch = await subscription.next(IDLE_SECONDS)
            if batch is None:
                return


def _message(html: str, batch: Batch) -> ServerSentEvent:
    if not html:
        return ServerSentEvent(comment="nothing new")
    return ServerSentEvent(data=html, id=batch[-1].cursor if batch else None)


def partial(target: str, html: str, swap: str = "innerMorph") -> str:
    """Wrap a fragment for the element it goes to."""
    return f'<hx-partial hx-target="#{target}" hx-swap="{swap}">{html}</hx-partial>'
