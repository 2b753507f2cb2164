"""New jobs by hand: ``/submit``."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from jobfleet_contracts.errors import BodyConflict, InvalidRequest
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.job_id import new_id
from jobfleet_dashboard.api.request_parts import checked, read_form
from jobfleet_dashboard.security.access import asker, require
from jobfleet_dashboard.security.principal import Role
from jobfleet_dashboard.services import services_of
from jobfleet_dashboard.views.job.routes import known_id
from jobfleet_dashboard.views.known_names import KnownNames
from jobfleet_dashboard.views.pages import go_to
from jobfleet_dashboard.views.site import page_context, show
from jobfleet_dashboard.views.submit.submit_form import (
    CONFIRMED,
    FILL,
    form_fields,
    request_from,
    values_of,
)

SAMPLE = {
    "type": "demo.steps",
    "jobName": "sample: ten steps",
    "description": "submitted from the dashboard's first screen",
    "payload": {"steps": 10, "stepSeconds": 0.5},
}

router = APIRouter(dependencies=[require(Role.SUBMITTER)], include_in_schema=False)


@router.get("/submit")
async def form(request: Request) -> Response:
    """Show the form, empty or filled from a job that is submitted again."""
    source = request.query_params.get("from")
    if source is None:
        return await _form(request, {"payload": "{}"})
    source = known_id(source)
    record = await services_of(request).job_reader.read(source)
    if record.request is None:
        raise InvalidRequest("from: event 1 of this job cannot be read", field="from")
    return await _form(request, values_of(record.request), source=source)


@router.post("/submit")
async def submit(request: Request) -> Response:
    """Take the job in, or show the form again with what is wrong."""
    values = {name: str(value) for name, value in (await read_form(request)).items()}
    try:
        job = await checked(request, lambda: request_from(values))
    except InvalidRequest as error:
        return await _form(request, values, problem=str(error), bad=error.field, status=422)
    known = await _known_names(request)
    if known.types and job.type not in known.types and values.get(CONFIRMED) != job.type:
        doubt = _doubt(job.type, known)
        return await _form(request, values, problem=doubt, bad="type", confirm=job.type)
    try:
        return await _accept(request, job)
    except BodyConflict:
        problem = f"This form was sent before and made job {job.job_id}. Send it again for another."
        again = {name: value for name, value in values.items() if name != "jobId"}
        return await _form(request, again, problem=problem, status=409)


@router.post("/submit/sample")
async def sample(request: Request) -> Response:
    """Take in a job that counts ten steps."""
    return await _accept(request, JobRequest.parse(SAMPLE))


async def _accept(request: Request, job: JobRequest) -> Response:
    services = services_of(request)
    await services.rate_limit.check(request)
    await services.queue_limit.check(job.queue)
    done = await services.writes.submitter.submit(job, by=asker(request))
    services.metrics.jobs_registered.inc()
    return go_to(request, f"/jobs/{done.job_id}")


async def _known_names(request: Request) -> KnownNames:
    """Return what live workers handle and serve."""
    services = services_of(request)
    now = services.clock.now()
    workers = await services.backend.directory.workers()
    return KnownNames.of([worker for worker in workers if worker.is_alive(now)])


def _doubt(job_type: str, known: KnownNames) -> str:
    """Return the error of a type that no worker has; it names similar types."""
    close = get_close_matches(job_type, known.types, n=1)
    meant = f" Did you mean {close[0]}?" if close else ""
    return (
        f"No live worker handles the type {job_type!r}.{meant} A job of it waits until one does, "
        "and then fails. Submit it again to submit it all the same."
    )


async def _form(
    request: Request,
    values: Mapping[str, str],
    *,
    source: str | None = None,
    problem: str | None = None,
    bad: str | None = None,
    confirm: str = "",
    status: int = 200,
) -> Response:
    context: dict[str, Any] = {
        "fields": form_fields(values, await _known_names(request)),
        "confirmed": CONFIRMED,
        "confirmed_type": confirm,
        # Sent with the form, so that sending it twice submits one job.
        "job_id": values.get("jobId") or new_id(),
        "fill": values.get(FILL, ""),
        "source": source,
        "problem": problem,
        "bad_field": (bad or "").split(".")[0],
    }
    return show(
        request, "submit/index.html", block="form", status=status, **context,
        **page_context(request, "submit"),
    )  # fmt: skip
