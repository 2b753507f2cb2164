"""Every error answer: RFC 9457 problem documents that name the field and the remedy."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi_problem.error import Problem
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import Match

from jobfleet_contracts.codec import encode
from jobfleet_contracts.errors import (
    ActionRefused,
    BackendError,
    BadSignature,
    BodyConflict,
    CodecError,
    FleetSealed,
    InvalidRequest,
    JobfleetError,
    NotFound,
    UnknownJob,
    UnknownLimit,
    UnknownSchedule,
)
from jobfleet_dashboard.head_requests import is_stream

REQUEST_FAILED = "request.failed"
MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = "5"

ProblemPage = Callable[[Request, Problem], Awaitable[Response]]
"""Renders a problem for people; the views set it as ``app.state.problem_page``."""

_log = structlog.get_logger()


def invalid(detail: str, field: str | None = None) -> Problem:
    """400: something in the request does not fit; ``field`` names it."""
    return Problem("Invalid request", "invalid-request", detail, 400, field=field)


def not_authenticated(detail: str) -> Problem:
    """401: a key is needed, or the one given is not known."""
    headers = {"WWW-Authenticate": 'Bearer realm="jobfleet"'}
    return Problem("Not authenticated", "not-authenticated", detail, 401, headers)


def bad_signature(detail: str) -> Problem:
    """401: a callback that is not signed with one of the secrets."""
    headers = {"WWW-Authenticate": 'HMAC realm="jobfleet"'}
    return Problem("Bad signature", "bad-signature", detail, 401, headers)


def forbidden(detail: str, kind: str = "forbidden") -> Problem:
    """403: known, but not allowed."""
    return Problem("Forbidden", kind, detail, 403)


def unknown_job(job_id: str) -> Problem:
    """404: no trail exists for this id."""
    return Problem("Unknown job", "unknown-job", f"no job {job_id}", 404)


def no_such_page(detail: str) -> Problem:
    """404: nothing is served at the address."""
    return Problem("Not found", "not-found", detail, 404)


def body_conflict(detail: str, *, by_key: bool) -> Problem:
    """409, or 422 where an idempotency key was used again with another body."""
    if by_key:
        return Problem("Idempotency key reused", "idempotency-key-reused", detail, 422)
    return Problem("Job exists with another body", "body-conflict", detail, 409, field="jobId")


def too_large(limit: int) -> Problem:
    """413: the body is over the limit."""
    detail = f"the body is over {limit:,} bytes; store large inputs elsewhere and pass an address"
    return Problem("Body too large", "body-too-large", detail, 413, field="body", limit=limit)


def no_multipart() -> Problem:
    """415: forms are taken as browsers send them by default."""
    detail = "send the form as application/x-www-form-urlencoded, or JSON to /api/jobs"
    return Problem("Unsupported media type", "unsupported-media-type", detail, 415)


def too_many(detail: str, kind: str, retry_after: int) -> Problem:
    """429: too fast, or a queue is full."""
    headers = {"Retry-After": str(max(1, retry_after))}
    return Problem("Too many requests", kind, detail, 429, headers)


def unavailable(error: BackendError | CodecError) -> Problem:
    """503: a server of the backend, or a key of the payload codec, cannot be reached."""
    headers = {"Retry-After": RETRY_AFTER_SECONDS}
    return Problem("Backend unavailable", "backend-unavailable", str(error), 503, headers)


def sealed(error: FleetSealed) -> Problem:
    """503: the fleet is moved, or was; senders of results try again later, at the same address."""
    headers = {"Retry-After": RETRY_AFTER_SECONDS}
    return Problem("Fleet sealed", "fleet-sealed", str(error), 503, headers)


def problem_of(error: JobfleetError) -> Problem:
    """Return the answer to an error of the protocol or a backend."""
    match error:
        case InvalidRequest():
            return invalid(str(error), error.field)
        case UnknownJob():
            return Problem("Unknown job", "unknown-job", str(error), 404)
        case NotFound():
            return Problem("Not found", "not-found", str(error), 404)
        case UnknownSchedule():
            return Problem("Unknown schedule", "unknown-schedule", str(error), 404)
        case UnknownLimit():
            return Problem("Unknown limit", "unknown-limit", str(error), 404)
        case ActionRefused():
            return Problem("Action refused", "action-refused", str(error), 409)
        case BadSignature():
            return bad_signature(str(error))
        case BodyConflict():
            return body_conflict(str(error), by_key=False)
        case FleetSealed():
            return sealed(error)
        case BackendError() | CodecError():
            return unavailable(error)
        case _:
            return _internal()


def problem_document(problem: Problem) -> dict[str, Any]:
    """Return the JSON of a problem."""
    document: dict[str, Any] = problem.marshal()
    return document


def problem_response(problem: Problem) -> Response:
    """Return the answer as ``application/problem+json``."""
    return Response(
        encode(problem_document(problem)),
        status_code=problem.status,
        headers=dict(problem.headers or {}),
        media_type=MEDIA_TYPE,
    )


def wants_page(request: Request) -> bool:
    """Whether a person looks at this address with a browser, rather than a program."""
    path = request.url.path
    is_api = path.startswith(("/api/", "/livez", "/readyz", "/metrics", "/openapi.json"))
    return not is_api and "text/html" in request.headers.get("accept", "")


def install(app: FastAPI) -> None:
    """Answer every error of every route with a problem."""
    app.state.problem_page = None
    app.add_exception_handler(Problem, _on_problem)
    app.add_exception_handler(JobfleetError, _on_jobfleet_error)
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(ClientDisconnect, _on_disconnect)
    app.add_exception_handler(Exception, _on_unexpected)


async def respond(request: Request, problem: Problem) -> Response:
    """Answer with a page where a person looks, else with a problem document."""
    page: ProblemPage | None = request.app.state.problem_page
    if page is not None and wants_page(request):
        return await page(request, problem)
    return problem_response(problem)


async def _on_problem(request: Request, error: Exception) -> Response:
    if not isinstance(error, Problem):
        raise error
    return await respond(request, error)


async def _on_jobfleet_error(request: Request, error: Exception) -> Response:
    problem = problem_of(error) if isinstance(error, JobfleetError) else _internal()
    if problem.status >= 500:  # noqa: PLR2004
        _log.warning(REQUEST_FAILED, path=request.url.path, error=str(error))
    return await respond(request, problem)


async def _on_validation_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise error
    first = error.errors()[0]
    field = str(first["loc"][-1]) if first.get("loc") else "request"
    if first["type"] == "extra_forbidden":
        return await respond(request, invalid(f"unknown parameter: {field}", field))
    message = first["msg"].removeprefix("Value error, ")
    return await respond(request, invalid(f"{field}: {message}", field))


async def _on_http_exception(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    title = HTTPStatus(error.status_code).phrase
    kind = title.lower().replace(" ", "-")
    headers = dict(error.headers or {})
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = ", ".join(_allowed(request))
    detail = f"{request.method} {request.url.path}: {title.lower()}"
    return await respond(request, Problem(title, kind, detail, error.status_code, headers))


def _allowed(request: Request) -> list[str]:
    """Methods of all routes with this path; the framework names those of the first one only."""
    routes = request.app.routes
    found = [
        method
        for method in ("DELETE", "GET", "PATCH", "POST", "PUT")
        if any(r.matches({**request.scope, "method": method})[0] is Match.FULL for r in routes)
    ]
    has_head = "GET" in found and not is_stream(request.url.path)
    return sorted([*found, "HEAD"]) if has_head else found


async def _on_disconnect(request: Request, error: Exception) -> Response:  # noqa: ARG001
    """The client left before its body had come: this answer has no reader."""
    return Response(status_code=400)


async def _on_unexpected(request: Request, error: Exception) -> Response:
    _log.error(REQUEST_FAILED, path=request.url.path, exc_info=error)
    return await respond(request, _internal())


def _internal() -> Problem:
    detail = "jobfleet failed to answer; the log has the details under this request's id"
    return Problem("Internal error", "internal-error", detail, 500)
