"""Server-sent events: ids are cursors, ``Last-Event-ID`` resumes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request
from sse_starlette import EventSourceResponse
from starlette.responses import Response

from jobfleet_dashboard.api.descriptions import FLEET_STREAM, JOB_STREAM
from jobfleet_dashboard.api.request_parts import JobId
from jobfleet_dashboard.api.route_description import described
from jobfleet_dashboard.live.batch_texts import event_texts
from jobfleet_dashboard.live.fleet_stream import fleet_events
from jobfleet_dashboard.live.job_stream import job_events
from jobfleet_dashboard.security.access import require
from jobfleet_dashboard.security.principal import Role
from jobfleet_dashboard.services import services_of

HEARTBEAT_SECONDS = 15
SEND_TIMEOUT_SECONDS = 30
_RETRY_MS = 2000
_MAX_DIGITS = 10

LastEventId = Annotated[str | None, Header(alias="Last-Event-ID", max_length=2000)]
CursorParameter = Annotated[
    str | None, Query(max_length=2000, description="Like `Last-Event-ID`, which wins.")
]

router = APIRouter(dependencies=[require(Role.VIEWER)], tags=["streams"])


@router.get("/api/events/stream", **described(FLEET_STREAM))
async def fleet_stream(
    request: Request, last_event_id: LastEventId = None, cursor: CursorParameter = None
) -> Response:
    """Every event of the fleet, from now on or from a cursor."""
    services = services_of(request)
    batches = fleet_events(
        reader=services.backend.reader,
        live=services.live,
        clock=services.clock,
        cursor=_one_line(last_event_id or cursor),
    )

    async def texts() -> AsyncIterator[bytes]:
        async for batch in batches:
            yield await services.batch_texts.of(batch)

    return _stream(texts())


@router.get("/api/jobs/{jobId:uuid}/events/stream", **described(JOB_STREAM))
async def job_stream(
    request: Request,
    job_id: JobId,
    last_event_id: LastEventId = None,
    cursor: CursorParameter = None,
) -> Response:
    """One job's events: those after the cursor, then new ones as they happen."""
    services = services_of(request)
    await services.job_reader.newest(job_id)
    batches = job_events(
        trail=services.backend.trail,
        live=services.live,
        job_id=job_id,
        after=_sequence(last_event_id or cursor),
        coder=services.backend.coder,
    )

    async def texts() -> AsyncIterator[bytes]:
        async for batch in batches:
            yield await event_texts([(event, str(event.sequence)) for event in batch])

    return _stream(texts())


def _stream(texts: AsyncIterator[bytes]) -> Response:
    """Return a stream with heartbeats that gives up on a client which takes nothing."""
    return EventSourceResponse(
        _opened(texts),
        ping=HEARTBEAT_SECONDS,
        send_timeout=SEND_TIMEOUT_SECONDS,
        headers={"X-Accel-Buffering": "no"},
    )


async def _opened(texts: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Open at once with the client's waiting time, so that it knows that it is connected."""
    yield b": connected\r\nretry: %d\r\n\r\n" % _RETRY_MS
    async for text in texts:
        yield text


def _one_line(cursor: str | None) -> str | None:
    """A foreign cursor comes back in the ids of messages: a line break in it would end the line."""
    return cursor if cursor is None or cursor.isprintable() else ""


def _sequence(cursor: str | None) -> int:
    """A client that resumes with nonsense gets the whole history, not an error without end."""
    if cursor is None or not cursor.isdecimal() or len(cursor) > _MAX_DIGITS:
        return 0
    return int(cursor)
