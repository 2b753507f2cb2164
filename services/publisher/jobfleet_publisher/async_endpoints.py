"""Turns routes of a FastAPI application into jobs: 202 at once, the result by a status route."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any, TypeVar
from uuid import UUID

from jobfleet_contracts.missing_extra import remedy

try:
    from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request, params
    from fastapi.dependencies.models import Dependant
    from fastapi.routing import APIRoute
    from starlette.responses import Response
except ModuleNotFoundError as error:
    raise ImportError(remedy("AsyncEndpoints", "fastapi", error)) from None

from pydantic.alias_generators import to_camel

from jobfleet_contracts.credentials import is_secret_name
from jobfleet_contracts.errors import BackendError, BodyConflict, CodecError, InvalidRequest
from jobfleet_contracts.internal_job import check_type
from jobfleet_contracts.job import JobRequest
from jobfleet_protocol.reading.masking_turns import in_turn
from jobfleet_publisher.async_access import (
    TOKEN_FIELD,
    Authorize,
    KeyScope,
    called,
    idempotency_key,
    is_token,
    new_token,
    token_of,
)
from jobfleet_publisher.async_answers import AsyncAnswers
from jobfleet_publisher.job_details import JobDetails
from jobfleet_publisher.plain_payload import plain_payload
from jobfleet_publisher.publisher import Publisher
from jobfleet_publisher.request_facts import request_facts
from jobfleet_publisher.trace_context import traced

JOB_ID_HEADER = "Async-Job-Id"
_REQUEST = "jobfleet_request"

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

        endpoints = AsyncEndpoints(
            app, lambda: app.state.publisher, authorize=may_see, key_scope=user_of
        )

        @endpoints.post("/reports/{year}", job_type="report")
        async def order_report(year: int, order: ReportOrder) -> None:
            if year > 2026:
                raise HTTPException(422, "that year is not over")

    Headers, route and query parameters are in the handler's ``context.request``. An
    ``Idempotency-Key`` header makes repetitions of a request one job. Without ``key_scope`` all
    callers share their keys: one who sends another's key and body gets the other's job.
    """

    def __init__(
        self,
        app: FastAPI | APIRouter,
        publisher: Publisher | Callable[[], Publisher],
        *,
        authorize: Authorize | params.Depends | None = None,
        key_scope: KeyScope | None = None,
        status_path: str = "/jobs/{job_id}",
        retry_after: int = 1,
        keep_headers: Sequence[str] = (),
        keep_query: Sequence[str] = (),
        answers: AsyncAnswers | None = None,
    ) -> None:
        """Add the status route.

        Args:
            publisher: an open one, or a function that returns it once the application runs.
            authorize: decides who may see a job. It is a function of request and job that returns a
                bool, or ``Depends`` of a dependency that raises and gets the job from
                ``Depends(requested_job)``. Without it the status route asks for the token that
                stands in ``Location``.
            key_scope: returns of a request whose idempotency keys these are, as a user's id.
            status_path: path of the status route, which shows jobs of these endpoints only.
            retry_after: seconds that clients should wait between two looks.
            keep_headers: headers that reach the handler beside ``KEPT_HEADERS``; they stand in
                the audit trail for good.
            keep_query: query parameters that reach the handler beside those that the route's
                function declares under a name that no credential has.
            answers: own responses.
        """
        if "{job_id}" not in status_path:
            raise ValueError(f"status_path {status_path!r} must hold {{job_id}}")
        self._app = app
        self._publisher = publisher
        self._authorize = authorize
        self._key_scope = key_scope
        self._retry_after = str(retry_after)
        self._keep_headers = tuple(keep_headers)
        self._keep_query = frozenset(keep_query)
        self._answers = answers or AsyncAnswers()
        self._types: set[str] = set()
        self._status_name = f"async-job-status-{id(self):x}"
        app.add_api_route(
            status_path,
            self._status,
            methods=["GET"],
            name=self._status_name,
            summary="Status and result of a job",
            dependencies=[
                Depends(self._load),
                *([authorize] if isinstance(authorize, params.Depends) else []),
            ],
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
        check_type(job_type)
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
            endpoint.query = frozenset(
                name for name in _query_names(added.dependant) if not is_secret_name(name)
            )
            return function

        return add

    async def submit(
        self,
        request: Request,
        fields: dict[str, Any],
        payload: Any,
        answers: AsyncAnswers,
        declared: frozenset[str],
    ) -> Response:
        """Submit the job of a request that was checked, and answer 202.

        Args:
            declared: query parameters that the route's function takes.
        """
        facts = request_facts(
            request, keep_headers=self._keep_headers, keep_query=self._keep_query | declared
        )
        context = dict(traced(facts) or {})
        if self._authorize is None:
            context[TOKEN_FIELD] = new_token()
        request_fields = fields | {"payload": plain_payload(payload), "context": context}
        job = JobRequest.parse(request_fields)
        key = await idempotency_key(request, job.type, self._key_scope)
        done = await self._open_publisher.submit_request(job, idempotency_key=key)
        details = JobDetails.submitted(job, done.job_id, done.submitted)
        if not done.created:
            details = await self._details(done.job_id) or details
            job = await self._open_publisher.find_request(done.job_id) or job
        response = answers.submitted(details, request)
        response.headers.setdefault("Location", self._location(request, job, done.job_id))
        response.headers.setdefault("Retry-After", self._retry_after)
        response.headers.setdefault(JOB_ID_HEADER, done.job_id)
        response.headers.setdefault("Cache-Control", "no-store")
        return response

    @property
    def _open_publisher(self) -> Publisher:
        return self._publisher if isinstance(self._publisher, Publisher) else self._publisher()

    def _location(self, request: Request, job: JobRequest, job_id: str) -> str:
        path = request.app.url_path_for(self._status_name, job_id=job_id)
        token = token_of(job.context) if self._authorize is None else None
        query = f"?token={token}" if token else ""
        return f"{request.scope.get('root_path', '')}{path}{query}"

    async def _load(self, job_id: str, request: Request) -> None:
        """Find the job first: a dependency that authorizes looks at it."""
        details = await self._find(job_id)
        known = details is not None and details.job_type in self._types
        request.state.requested_job = details if known else None

    async def _status(self, job_id: str, request: Request) -> Response:
        details: JobDetails | None = request.state.requested_job
        if details is None or not await self._may_see(request, details):
            return self._answers.not_found(job_id, request)
        response = self._answers.status(details, request)
        if not details.state.is_terminal:
            response.headers.setdefault("Retry-After", self._retry_after)
        response.headers.setdefault(JOB_ID_HEADER, details.job_id)
        response.headers.setdefault("Cache-Control", "no-store")
        return response

    async def _may_see(self, request: Request, job: JobDetails) -> bool:
        if isinstance(self._authorize, params.Depends):
            return True  # it has run before this and did not raise
        if self._authorize is not None:
            return bool(await called(self._authorize, request, job))
        try:
            stored = await self._open_publisher.find_request(job.job_id)
        except (BackendError, CodecError) as error:
            raise _refusal(error) from error
        token = None if stored is None else token_of(stored.context)
        return is_token(token, request.query_params.get("token", ""))

    async def _find(self, job_id: str) -> JobDetails | None:
        try:
            return await self._details(str(UUID(job_id)))
        except ValueError:
            return None
        except (BackendError, CodecError) as error:
            raise _refusal(error) from error

    async def _details(self, job_id: str) -> JobDetails | None:
        """Return where a job stands, masked: end users may see less than viewers."""
        details = await self._open_publisher.find(job_id)
        if details is None:
            return None
        return await in_turn(JobDetails.masked, details, (details.message, details.error))


class _Endpoint:
    """One route: the user's function first, then the job.

    Attributes:
        body: names of the parameters that FastAPI fills from the body.
        query: names of query parameters that it takes and that carry no credential.
    """

    def __init__(
        self,
        endpoints: AsyncEndpoints,
        fields: dict[str, Any],
        answers: AsyncAnswers,
        declared: Callable[..., Any],
    ) -> None:
        self.body: list[str] = []
        self.query: frozenset[str] = frozenset()
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
        returned = await called(self._declared, **values)
        if isinstance(returned, Response):
            return returned
        payload = self._payload(values) if returned is None else returned
        try:
            return await self._endpoints.submit(
                request, self._fields, payload, self._answers, self.query
            )
        except (InvalidRequest, BodyConflict, BackendError, CodecError) as error:
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


def _query_names(dependant: Dependant) -> list[str]:
    """Return the query parameters that a function and its dependencies take."""
    named = [field.alias for field in dependant.query_params]
    return named + [name for inner in dependant.dependencies for name in _query_names(inner)]


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


def _refusal(error: InvalidRequest | BodyConflict | BackendError | CodecError) -> HTTPException:
    match error:
        case InvalidRequest():
            return HTTPException(400, str(error))
        case BodyConflict():
            return HTTPException(422, str(error))
        case CodecError():
            return HTTPException(503, str(error))
        case _:
            detail = "the job service cannot be reached; repeat with the same Idempotency-Key"
            return HTTPException(503, detail, headers={"Retry-After": "5"})
