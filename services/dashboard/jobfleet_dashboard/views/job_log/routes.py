"""``/jobs/{job_id}/log``, which the job's page asks for, and asks again while the job lives."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from jobfleet_dashboard.security.access import require
from jobfleet_dashboard.security.principal import Role
from jobfleet_dashboard.services import services_of
from jobfleet_dashboard.views.job.routes import known_id
from jobfleet_dashboard.views.site import page_context, show

SHOWN_BYTES = 32_768
LAST_LINES = timedelta(seconds=5)
"""After the ending: a worker sends the last lines within two seconds."""
TEMPLATE = "job_log/show.html"

router = APIRouter(dependencies=[require(Role.VIEWER)], include_in_schema=False)


@router.get("/jobs/{job_id}/log")
async def log(
    request: Request,
    job_id: str,
    cursor: Annotated[str | None, Query(max_length=100)] = None,
    news: bool = False,
) -> Response:
    """Show the newest lines, or those from ``cursor`` on; ``news``: as more lines for a list."""
    services = services_of(request)
    newest = await services.job_reader.newest(known_id(job_id))
    reader = services.log_reader
    if cursor is None:
        page = await reader.newest(newest.job_id, limit_bytes=SHOWN_BYTES)
    else:
        page = await reader.page(newest.job_id, cursor=cursor, limit_bytes=SHOWN_BYTES)
    ended = newest.after.state.is_terminal
    context: dict[str, Any] = {
        "job_id": newest.job_id,
        "name": newest.facts.job_name,
        "page": page,
        "live": not ended or services.clock.now() - newest.occurred_at < LAST_LINES,
        "from_cursor": cursor is not None,
    }
    block = "arrivals" if news else "lines"
    return show(request, TEMPLATE, block=block, **context, **page_context(request, "jobs"))
