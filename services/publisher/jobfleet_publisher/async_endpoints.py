"""Turns routes of a FastAPI application into jobs: 202 at once, the result by a status route."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any, TypeVar
from uuid import UUID

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request
from fastapi.routing import APIRoute
from pydantic.alias_generators import to_camel
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from jobfleet_contracts.errors import BackendError, BodyConflict, InvalidRequest
from jobfleet_contracts.job import JobRequest
from jobfleet_publisher.async_answers import AsyncAnswers
from jobfleet_publisher.job_details import JobDetails
from jobfleet_publisher.plain_payload import plain_payload
from jobfleet_publisher.publisher import Publisher
from jobfleet_publisher.request_facts import request_facts
from jobfleet_publisher.trace_context import traced

JOB_ID_HEADER = "Async-Job-Id"
_REQUEST = "jobfleet_request"
_MAX_KEY = 255

F = TypeVar("F", bound=Callable[..., Any])
Endpoint = Callable[..., Awaitable[Response]]


def _this_request(request: Request) -> Request:
    return request


class AsyncEndpoints:
    """Adds endpoints to an application that answer 202 and leave the work to a job.

    The decorated function declares the route as any FastAPI function does: body model, route and
    query parameters, dependencies. It runs before the job is queued and may refuse by raising
    ``HTTPException`` or returning a response. The job's payload is the validated body, or what
    the function returns::

        endpoints = AsyncEndpoints(app, lambda: app.state.publisher)

        @endpoints.post("/reports/{year}", job_type="report")
        async def order_report(year: int, order: ReportOrder) -> None:
            if year > 2026:
                raise HTTPException(422, "that year is not over")

    Headers, route and query parameters are in the handler's ``context.request``. An
    ``Idempotency-Key`` header makes repetitions of a request one job.
    """

    def __init__(
        self,
        app: FastAPI | APIRouter,
        publisher: Publisher | Callable[[], Publisher],
        *,
        status_path: str = "/jobs/{job_id}",
        retry_after: int = 1,
        keep_headers: Sequence[str] = (),
        answers: AsyncAnswers | None = None,
    ) -> None:
        """Add the status route.

        Args:
            publisher: an open one, or a function that returns it once the application runs.
            status_path: of the status route; it shows jobs of these endpoints only.
            retry_after: seconds that clients are told to wait between two looks.
            keep_headers: headers that carry credentials and are to reach the handler all the
                same; they then stand in the audit trail.
            answers: own responses.
        """
        if "{job_id}" not in status_path:
            raise ValueError(f"status_path {status_path!r} must hold {{job_id}}")
        self._app = app
        self._publisher = publisher
        self._retry_after = str(retry_after)
        self._keep_headers = tuple(keep_headers)
        self._answers = answers or AsyncAnswers()
        self._types: set[str] = set()
        self._status_name = f"async-job-status-{id(self):x}"
        app.add_api_route(
            status_path,
            self._status,
            methods=["GET"],
            name=self._status_name,
            summary="Status and result of a job",
            response_model=None,
            responses={404: {"description": "No such job"}},
        )

    def post(self, path: str, *, job_type: str, **options: Any) -> Callable[[F], F]:
        """Like :meth:`route` with the method ``POST``."""
        return self.route(path, job_type=job_type, method="POST", **options)

    def route(
        self,
        path: str,
        *,
        job_type: str,
        method: str = "POST",
        answers: AsyncAnswers | None = None,
        **options: Any,
    ) -> Callable[[F], F]:
        """Make a job of each request to this route.

        Args:
            job_type: which handler runs it.
            answers: own responses of this route.
            options: fields of the job request, as ``queue="reports", max_attempts=5``.

        Raises:
            InvalidRequest: an option does not fit; names it.
        """
        fields = {to_camel(name): value for name, value in options.items()} | {"type": job_type}
        JobRequest.parse(fields)
        self._types.add(job_type)

        def add(function: F) -> F:
            endpoint = _Endpoint(self, fields, answers or self._answers, function)
            self._app.add_api_route(
                path,
                endpoint.function,
                methods=[method],
                status_code=202,
                response_model=None,
                responses=_DESCRIBED,
            )
            added = self._app.routes[-1]
            assert isinstance(added, APIRoute)
            endpoint.body = [field.name for field in added.dependant.body_params]
            return function

        return add

    async def submit(
        self, request: Request, fields: dict[str, Any], payload: Any, answers: AsyncAnswers
    ) -> Response:
        """Submit the job of a request that was checked, and answer 202."""
        context = traced(request_facts(request, keep_headers=self._keep_headers))
        said = fields | {"payload": plain_payload(payload), "context": context}
        job = JobRequest.parse(said)
        done = await self._open_publisher.submit_request(job, idempotency_key=_key(request, job))
        response = answers.submitted(
            JobDetails.submitted(job, done.job_id, done.submitted), request
        )
        path = request.app.url_path_for(self._status_name, job_id=done.job_id)
        response.headers.setdefault("Location", request.scope.get("root_path", "") + path)
        response.headers.setdefault("Retry-After", self._retry_after)
        response.headers.setdefault(JOB_ID_HEADER, done.job_id)
        return response

    @property
    def _open_publisher(self) -> Publisher:
        return self._publisher if isinstance(self._publisher, Publisher) else self._publisher()

    async def _status(self, job_id: str, request: Request) -> Response:
        details = await self._find(job_id)
        if details is None or details.job_type not in self._types:
            return self._answers.not_found(job_id, request)
        response = self._answers.status(details, request)
        if not details.state.is_terminal:
            response.headers.setdefault("Retry-After", self._retry_after)
        response.headers.setdefault(JOB_ID_HEADER, details.job_id)
        return response

    async def _find(self, job_id: str) -> JobDetails | None:
        try:
            return await self._open_publisher.find(str(UUID(job_id)))
        except ValueError:
            return None
        except BackendError as error:
            raise _refusal(error) from error


class _Endpoint:
    """One route: the user's function first, then the job.

    Attributes:
        body: names of the parameters that FastAPI fills from the body.
    """

    def __init__(
        self,
        endpoints: AsyncEndpoints,
        fields: dict[str, Any],
        answers: AsyncAnswers,
        declared: Callable[..., Any],
    ) -> None:
        self.body: list[str] = []
        self._endpoints = endpoints
        self._fields = fields
        self._answers = answers
        self._declared = declared
        self.function = self._with_signature()

    def _with_signature(self) -> Endpoint:
        """Return what FastAPI calls: it asks for the user's parameters and for the request."""

        @functools.wraps(self._declared)
        async def endpoint(**values: Any) -> Response:
            return await self._answer(values.pop(_REQUEST), values)

        signature = inspect.signature(self._declared)
        request = inspect.Parameter(
            _REQUEST,
            inspect.Parameter.KEYWORD_ONLY,
            annotation=Annotated[Request, Depends(_this_request)],
        )
        vars(endpoint)["__signature__"] = signature.replace(
            parameters=[*signature.parameters.values(), request],
            return_annotation=inspect.Signature.empty,
        )
        return endpoint

    async def _answer(self, request: Request, values: dict[str, Any]) -> Response:
        returned = await _called(self._declared, values)
        if isinstance(returned, Response):
            return returned
        payload = self._payload(values) if returned is None else returned
        try:
            return await self._endpoints.submit(request, self._fields, payload, self._answers)
        except (InvalidRequest, BodyConflict, BackendError) as error:
            raise _refusal(error) from error

    def _payload(self, values: dict[str, Any]) -> Any:
        """Return the body: the one parameter filled from it, or all of them by name."""
        match self.body:
            case []:
                return None
            case [name]:
                return values[name]
            case names:
                return {name: values[name] for name in names}


_DESCRIBED: dict[int | str, dict[str, Any]] = {
    202: {
        "description": "Accepted; the job's details",
        "headers": {
            name: {"schema": {"type": "string"}}
            for name in ("Location", "Retry-After", JOB_ID_HEADER)
        },
    },
    503: {"description": "The job could not be written; repeat with the same Idempotency-Key"},
}


async def _called(function: Callable[..., Any], values: dict[str, Any]) -> Any:
    if inspect.iscoroutinefunction(function):
        return await function(**values)
    return await run_in_threadpool(function, **values)


def _key(request: Request, job: JobRequest) -> str | None:
    """Return the request's key, apart from keys of other endpoints."""
    key = request.headers.get("idempotency-key")
    if key is None:
        return None
    if not (0 < len(key) <= _MAX_KEY and key.isprintable()):
        raise InvalidRequest(
            f"Idempotency-Key: must be 1 to {_MAX_KEY} printable characters",
            field="Idempotency-Key",
        )
    return f"{job.type} {request.method} {request.url.path} {key}"


def _refusal(error: InvalidRequest | BodyConflict | BackendError) -> HTTPException:
    match error:
        case InvalidRequest():
            return HTTPException(400, str(error))
        case BodyConflict():
            return HTTPException(422, str(error))
        case _:
            detail = "the job service cannot be reached; repeat with the same Idempotency-Key"
            return HTTPException(503, detail, headers={"Retry-After": "5"})
