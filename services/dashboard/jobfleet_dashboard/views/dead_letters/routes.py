"""What was given up, and by which causes: ``/dead-letters``."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter, Request
from fastapi.responses import Response

from jobfleet_contracts.control import ControlKind
from jobfleet_contracts.errors import InvalidRequest
from jobfleet_contracts.json_check import check_characters
from jobfleet_contracts.state import Status
from jobfleet_dashboard.live.subscription import Batch
from jobfleet_dashboard.security.access import asker_name, require
from jobfleet_dashboard.security.principal import Role
from jobfleet_dashboard.services import services_of
from jobfleet_dashboard.views.dead_letters.dead_letter_page import (
    DeadLetterPage,
    read_dead_letters,
)
from jobfleet_dashboard.views.error_groups.group_row import SPARK_HEIGHT
from jobfleet_dashboard.views.live_stream import Fragment, shared_stream
from jobfleet_dashboard.views.pages import go_to
from jobfleet_dashboard.views.site import page_context, show, site_of

TEMPLATE = "dead_letters/index.html"
DEATHS = frozenset({Status.FAILED, Status.TIMED_OUT})
_MAX_LETTER_ID = 100
GONE = frozenset({Status.REDRIVEN, Status.DISMISSED})

router = APIRouter(dependencies=[require(Role.VIEWER)], include_in_schema=False)


@router.get("/dead-letters")
async def dead_letters(request: Request) -> Response:
    """Show dead jobs by cause, and messages that are not job requests."""
    cursor = request.query_params.get("cursor")
    page = await _read(request, cursor)
    context = page_context(request, "dead", None if cursor else "/stream/dead-letters")
    return show(request, TEMPLATE, block="dead", dead=page, spark_height=SPARK_HEIGHT, **context)


@router.get("/stream/dead-letters")
async def stream(request: Request) -> Response:
    """Count who died, take out who left, and keep the causes' counts true.

    What is new is shown when the reader asks for it: nothing moves under the pointer.
    """

    async def render(batch: Batch | None) -> Sequence[Fragment]:
        return [Fragment("", await _changes(request, batch))]

    return await shared_stream(request, ("dead",), render)


@router.post("/dead-letters/{letter_id}/forget", dependencies=[require(Role.OPERATOR)])
async def forget(request: Request, letter_id: str) -> Response:
    """Remove one unreadable message, and note who did it: afterwards nothing else tells of it."""
    check_characters(letter_id, field="letterId")
    if len(letter_id) > _MAX_LETTER_ID:
        raise InvalidRequest("letterId: no message has such an id", field="letterId")
    services = services_of(request)
    # Before the removal: a crash in between leaves an entry too many, never one too few.
    details = {"subject": "dead letter", "name": letter_id}
    await services.journal.note(ControlKind.REMOVED, by=asker_name(request), details=details)
    await services.backend.dead_letters.remove(letter_id)
    return go_to(request, "/dead-letters")


async def _read(request: Request, cursor: str | None) -> DeadLetterPage:
    services = services_of(request)
    return await read_dead_letters(
        store=services.backend.dead_letters,
        reader=services.backend.reader,
        clock=services.clock,
        cursor=cursor,
    )


async def _changes(request: Request, batch: Batch | None) -> str:
    events = (entry.event for entry in batch or ())
    newest = {event.job_id: event for event in events if event.is_readable}
    left = [job_id for job_id, event in newest.items() if event.kind in GONE]
    died = [job_id for job_id, event in newest.items() if event.kind in DEATHS]
    if not left and not died:
        return ""
    context = {"left": left, "died": died, "dead": await _read(request, None)}
    context |= {"spark_height": SPARK_HEIGHT, **page_context(request)}
    return site_of(request).pages.fragment("dead_letters/_live.html", "changes", **context)
