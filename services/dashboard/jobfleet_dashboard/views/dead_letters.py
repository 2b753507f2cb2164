"""What was given up, grouped by cause: ``/dead-letters``."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from jobfleet_contracts.index import JobQuery
from jobfleet_contracts.state import DEAD
from jobfleet_dashboard.live.subscription import Batch
from jobfleet_dashboard.security.access import require
from jobfleet_dashboard.security.principal import Role
from jobfleet_dashboard.services import services_of
from jobfleet_dashboard.views.error_group import group_errors
from jobfleet_dashboard.views.live_stream import live_stream, partial
from jobfleet_dashboard.views.pages import go_to
from jobfleet_dashboard.views.site import show, surroundings

TEMPLATE = "dead_letters/index.html"
MAX_GROUPED = 500

router = APIRouter(dependencies=[require(Role.VIEWER)], include_in_schema=False)


@router.get("/dead-letters")
async def dead_letters(request: Request) -> Response:
    """Show dead jobs by cause, and messages that are no job requests."""
    told = surroundings(request, "dead", "/stream/dead-letters")
    return show(request, TEMPLATE, block="dead", **await _read(request), **told)


@router.get("/stream/dead-letters")
async def stream(request: Request) -> Response:
    """Say when something died; the list itself stays as it is under the reader's hands."""

    async def update(batch: Batch | None) -> str:
        died = sum(entry.event.after.state in DEAD for entry in batch or ())
        if not died:
            return ""
        return partial("died", "<span>More jobs died.</span> <a href=''>Show them</a>", "innerHTML")

    return live_stream(request, update)


@router.post("/dead-letters/{letter_id}/forget", dependencies=[require(Role.OPERATOR)])
async def forget(request: Request, letter_id: str) -> Response:
    """Remove one unreadable message."""
    await services_of(request).backend.dead_letters.remove(letter_id)
    return go_to(request, "/dead-letters")


async def _read(request: Request) -> dict[str, Any]:
    backend = services_of(request).backend
    page = await backend.reader.jobs(JobQuery(states=DEAD, limit=MAX_GROUPED))
    letters = await backend.dead_letters.letters(limit=50)
    return {
        "groups": group_errors(page.items),
        "cut": MAX_GROUPED if page.next else None,
        "letters": letters.items,
    }
