"""How a route says what it answers: every status, problem type and an example, for OpenAPI."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fastapi_problem.error import Problem
from starlette.responses import JSONResponse, Response

from jobfleet_contracts.errors import BackendUnavailable
from jobfleet_dashboard import problems
from jobfleet_dashboard.api.examples import values
from jobfleet_dashboard.problems import problem_document

_PROBLEMS: tuple[Problem, ...] = (
    problems.invalid("priority: Input should be less than or equal to 9", "priority"),
    problems.not_authenticated("send a key as `Authorization: Bearer KEY`"),
    problems.bad_signature("the callback carries no valid signature"),
    problems.forbidden("key reports is a viewer; this needs submitter"),
    problems.forbidden("this change was asked for by another web site", "cross-site-request"),
    problems.unknown_job(values.JOB_ID),
    Problem("Unknown schedule", "unknown-schedule", "there is no schedule nightly", 404),
    Problem("Unknown limit", "unknown-limit", "no limit api-stripe", 404),
    Problem("Not found", "not-found", "there is no action with this id", 404),
    Problem("Action refused", "action-refused", "the job is completed already", 409),
    problems.body_conflict("the job was submitted before with another body", by_key=False),
    problems.too_large(2_097_152),
    problems.body_conflict("the job was submitted before with another body", by_key=True),
    problems.too_many("reports is over 1000 per 1 minute; try later", "rate-limited", 12),
    problems.too_many("queue default holds 10,001 jobs", "queue-full", 10),
    problems.unavailable(BackendUnavailable("no answer from the storage")),
)
READ = ("not-authenticated", "forbidden", "cross-site-request", "backend-unavailable")
WRITE = ("invalid-request", "body-too-large", *READ)


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """One route's answers.

    Attributes:
        good: statuses with the shape of ``model``; ``bare``: statuses without a body.
        problems: types of the problems that it may answer with.
        parameters: of query and headers, beside those that the framework sees.
        requests: examples of its body by name; ``schema``: what the body has to be.
    """

    text: str
    model: Any = None
    example: Any = None
    good: tuple[int, ...] = (200,)
    bare: tuple[int, ...] = ()
    media_type: str = "application/json"
    headers: tuple[str, ...] = ()
    problems: tuple[str, ...] = READ
    schema: dict[str, Any] | None = None
    requests: dict[str, Any] | None = None
    key_header: bool = False
    parameters: tuple[dict[str, Any], ...] = ()


def described(description: Description) -> dict[str, Any]:
    """Return the keyword arguments of a route's decorator."""
    responses: dict[int | str, dict[str, Any]] = {}
    for status in description.good:
        responses[status] = _good(description)
    for status in description.bare:
        responses[status] = {"description": "Not changed since the `ETag` that was sent."}
    for status, found in _by_status(description.problems).items():
        responses[status] = _problem(found)
    return {
        "status_code": description.good[0],
        "response_class": _media(description.media_type),
        "response_model": None,
        "responses": responses,
        "openapi_extra": _extra(description),
    }


def _media(media_type: str) -> type[Response]:
    """The framework takes the media type from a class."""
    if media_type == "application/json":
        return JSONResponse
    return type("Described", (Response,), {"media_type": media_type})


def _good(description: Description) -> dict[str, Any]:
    content: dict[str, Any] = {}
    if description.example is not None:
        content["example"] = description.example
    if description.media_type != "application/json":
        content["schema"] = {"type": "string"}
    answer: dict[str, Any] = {
        "description": description.text,
        "content": {description.media_type: content},
    }
    if description.model is not None:
        answer["model"] = description.model
    if description.headers:
        answer["headers"] = {name: {"schema": {"type": "string"}} for name in description.headers}
    return answer


def _by_status(kinds: tuple[str, ...]) -> dict[int, list[Problem]]:
    found: dict[int, list[Problem]] = {}
    for problem in _PROBLEMS:
        if problem.type in kinds:
            found.setdefault(problem.status, []).append(problem)
    return found


def _problem(found: list[Problem]) -> dict[str, Any]:
    kinds = {problem.type: {"value": problem_document(problem)} for problem in found}
    schema = {"$ref": "#/components/schemas/ProblemDocument"}
    answer: dict[str, Any] = {
        "description": "; ".join(problem.title for problem in found),
        "content": {problems.MEDIA_TYPE: {"schema": schema, "examples": kinds}},
    }
    names = sorted({name for problem in found for name in problem.headers or {}})
    if names:
        answer["headers"] = {name: {"schema": {"type": "string"}} for name in names}
    return answer


def _extra(description: Description) -> dict[str, Any]:
    extra: dict[str, Any] = {}
    if description.schema is not None:
        named = {name: {"value": value} for name, value in (description.requests or {}).items()}
        content = {"schema": description.schema, "examples": named}
        extra["requestBody"] = {
            "required": bool(named),
            "content": {"application/json": content},
        }
    if description.parameters:
        extra["parameters"] = list(description.parameters)
    if description.key_header:
        extra["parameters"] = [
            {
                "name": "Idempotency-Key",
                "in": "header",
                "schema": {"type": "string", "minLength": 1, "maxLength": 255},
                "description": "The same key and body give the same job.",
            }
        ]
    return extra
