"""What asynchronous endpoints answer, each answer replaceable."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import orjson
from starlette.requests import Request
from starlette.responses import Response

from jobfleet_publisher.job_details import JobDetails

JobAnswer = Callable[[JobDetails, Request], Response]
NotFoundAnswer = Callable[[str, Request], Response]


def job_submitted(job: JobDetails, _: Request) -> Response:
    """202 and the job's details."""
    return _json(job.to_json(), 202)


def job_status(job: JobDetails, _: Request) -> Response:
    """200 and the job's details, its result once it has completed."""
    return _json(job.to_json(), 200)


def job_not_found(job_id: str, _: Request) -> Response:
    """404 as RFC 9457 has it."""
    problem = {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": f"no job {job_id}",
    }
    return _json(problem, 404, media_type="application/problem+json")


@dataclass(frozen=True, slots=True, kw_only=True)
class AsyncAnswers:
    """Makes the answers.

    ``Location``, ``Retry-After``, ``Async-Job-Id`` and ``Cache-Control: no-store`` are added to
    what these return, unless it has them. They get the job with the credentials in its message and
    error hidden.

    Attributes:
        submitted: answers the endpoint's caller once the job is in the trail.
        status: answers the status route.
        not_found: answers the status route for an id that no endpoint here has made.
    """

    submitted: JobAnswer = job_submitted
    status: JobAnswer = job_status
    not_found: NotFoundAnswer = job_not_found


def _json(value: object, status: int, media_type: str = "application/json") -> Response:
    return Response(orjson.dumps(value), status_code=status, media_type=media_type)
