"""Why a job has not started: ``/jobs/{job_id}/waiting``, which the job's page asks for."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response

from jobfleet_dashboard.api.history import waiting_of
from jobfleet_dashboard.security.access import require
from jobfleet_dashboard.security.principal import Role
from jobfleet_dashboard.services import services_of
from jobfleet_dashboard.views.job.routes import known_id
from jobfleet_dashboard.views.site import page_context, show

router = APIRouter(dependencies=[require(Role.VIEWER)], include_in_schema=False)


@router.get("/jobs/{job_id}/waiting")
async def waiting(request: Request, job_id: str) -> Response:
    """Show the reasons, the strongest first; nothing of jobs that run or have ended."""
    services = services_of(request)
    newest = await services.job_reader.newest(known_id(job_id))
    page = {
        "job_id": newest.job_id,
        "name": newest.facts.job_name,
        "reasons": await waiting_of(services, newest),
    }
    context = page_context(request, "jobs")
    return show(request, "waiting/show.html", block="reasons", **page, **context)
