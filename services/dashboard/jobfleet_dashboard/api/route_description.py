"""How a route says what it answers: every status, problem type and an example, for OpenAPI."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fastapi_problem.error import Problem
from pydantic import BaseModel
from starlette.responses import Response

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
        status: status of the answer whose shape is the route's response model.
        also: other statuses with a body, and their shapes; ``bare``: statuses without a body.
        problems: types of the problems that it may answer with.
        parameters: those of query and headers that the framework does not see.
        requests: examples of its body by name; ``schema``: what the body has to be.
    """

    text: str
    example: Any = None
    status: int = 200
    also: Mapping[int, type[BaseModel]] = field(default_factory=dict)
    bare: tuple[int, ...] = ()
    media_type: str = "application/json"
    headers: tuple[str, ...] = ()
    problems: tuple[str, ...] = READ
    schema: dict[str, Any] | None = None
    requests: dict[str, Any] | None = None
    key_header: bool = False
    parameters: tuple[dict[str, Any], ...] = ()


def described(description: Description) -> dict[str, Any]:
    """Return the keyword arguments of a route's decorator.

    The shape of the answer is not among them: it is the model that the route returns. A route that
    encodes its answer by hand names its model beside these, as ``response_model``. One that sends
    a file or a stream has none.
    """
    good = _good(description)
    responses: dict[int | str, dict[str, Any]] = {description.status: good}
    for status, model in description.also.items():
        responses[status] = {**good, "model": model}
    for status in description.bare:
        responses[status] = {"description": "Not changed since the `ETag` that was sent."}
    for status, found in _by_status(description.problems).items():
        responses[status] = _problem(found)
    arguments: dict[str, Any] = {
        "status_code": description.status,
        "response_model_exclude_unset": True,
        "responses": responses,
        "openapi_extra": _extra(description),
    }
    if description.media_type != "application/json":
        # The framework takes the media type from a class.
        media = type("Described", (Response,), {"media_type": description.media_type})
        arguments["response_class"] = media
    return arguments


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
