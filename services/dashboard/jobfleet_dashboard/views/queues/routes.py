"""What waits in each queue, who serves it, and its pause: ``/queues``."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from jobfleet_contracts.control import ControlSubject
from jobfleet_contracts.credentials import masked_text
from jobfleet_contracts.errors import InvalidRequest
from jobfleet_contracts.job import LANES
from jobfleet_dashboard.api.action_selection import reason_of
from jobfleet_dashboard.api.request_parts import read_form
from jobfleet_dashboard.live.subscription import Batch
from jobfleet_dashboard.security.access import asker_name, require
from jobfleet_dashboard.security.principal import Role
from jobfleet_dashboard.services import services_of
from jobfleet_dashboard.views.live_stream import Fragment, shared_stream
from jobfleet_dashboard.views.pages import go_to
from jobfleet_dashboard.views.site import page_context, show, site_of
from jobfleet_protocol.reading.masking_turns import in_turns
from jobfleet_protocol.reading.queue_record import QueueRecord, TypeRecord, pause_reason

TEMPLATE = "queues/index.html"

router = APIRouter(dependencies=[require(Role.VIEWER)], include_in_schema=False)
_OPERATOR = [require(Role.OPERATOR)]


@router.get("/queues")
async def queues(request: Request) -> Response:
    """Show the queues, and the types that can be paused."""
    context = page_context(request, "queues", "/stream/queues")
    return show(request, TEMPLATE, **await _read(request), **context)


@router.get("/stream/queues")
async def stream(request: Request) -> Response:
    """Keep depths, rates and pauses up to date."""

    async def render(_: Batch | None) -> Sequence[Fragment]:
        context = await _read(request) | page_context(request)
        return [
            Fragment(
                "queues",
                site_of(request).pages.fragment(TEMPLATE, "queues", **context),
                is_part=True,
            )
        ]

    may_operate = str(page_context(request)["may_operate"])
    return await shared_stream(request, ("queues", may_operate), render)


@router.post("/queues/pause", dependencies=_OPERATOR)
async def pause(request: Request) -> Response:
    """Pause the queue or the type that the form names, then show the page again."""
    form = await read_form(request)
    await services_of(request).pauses.pause(
        *_subject(form),
        by=asker_name(request),
        reason=reason_of({"reason": form.get("reason")}),
        until=_until(form),
    )
    return go_to(request, "/queues")


@router.post("/queues/resume", dependencies=_OPERATOR)
async def resume(request: Request) -> Response:
    """Resume the queue or the type that the form names, then show the page again."""
    form = await read_form(request)
    await services_of(request).pauses.resume(*_subject(form), by=asker_name(request))
    return go_to(request, "/queues")


async def _read(request: Request) -> dict[str, Any]:
    reader = services_of(request).queue_reader
    queues, types = await asyncio.gather(reader.queues(), reader.types())
    reasons = {"queue": await _shown_reasons(queues), "type": await _shown_reasons(types)}
    return {"queues": queues, "types": types, "reasons": reasons, "lanes": LANES}


async def _shown_reasons(records: Sequence[QueueRecord | TypeRecord]) -> dict[str, str]:
    """Return why each queue or type is paused, by its name, as it may be shown."""
    reasons = await in_turns(masked_text, [*map(pause_reason, records)])
    return dict(zip((record.name for record in records), reasons, strict=True))


def _subject(form: Mapping[str, Any]) -> tuple[ControlSubject, str]:
    try:
        return ControlSubject(str(form.get("subject"))), str(form.get("name", ""))
    except ValueError:
        raise InvalidRequest("subject: must be queue or type", field="subject") from None


def _until(form: Mapping[str, Any]) -> datetime | None:
    """Return the end of the pause; a browser's field for a time names no zone: it is UTC."""
    text = str(form.get("until") or "")
    if not text:
        return None
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC)
    except ValueError:
        raise InvalidRequest("until: must be a date and a time in UTC", field="until") from None
