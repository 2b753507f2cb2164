"""The API's description at ``/openapi.json``, and its page at ``/docs`` without a CDN."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from fastapi_csp_docs import get_swagger_ui_html, get_swagger_ui_init_js
from pydantic.alias_generators import to_camel
from starlette.requests import Request
from starlette.responses import Response

from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.reason import MAX_REASON
from jobfleet_contracts.schedule import SET_BY_SCHEDULE, ScheduleRule
from jobfleet_dashboard.api.action_selection import MAX_IDS
from jobfleet_dashboard.api.submission import MAX_BULK
from jobfleet_protocol.actions.group_counts import MOST_MEMBERS
from jobfleet_protocol.actions.group_ending import ON_FAILURE
from jobfleet_protocol.actions.groups import LONGEST_SEAL_SECONDS
from jobfleet_protocol.reading.job_actions import JobAction
from jobfleet_protocol.reading.job_filter import FIELDS

_ASSETS = "/static/swagger-ui"
_REF = "#/components/schemas/"
_DESCRIPTION = (
    "Submit jobs, follow them, act on them. Errors are RFC 9457 problem documents. Lists have "
    "opaque cursors; times are RFC 3339 in UTC."
)
_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"]


def operation_id(route: APIRoute) -> str:
    """Return what generated clients call a route: its function's name."""
    return to_camel(route.name)


def install(app: FastAPI, *, root_path: str = "") -> None:
    """Serve the description and its page."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _describe(app)
            if root_path:
                app.openapi_schema["servers"] = [{"url": root_path}]
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]

    assets = f"{root_path}{_ASSETS}"

    async def page(_: Request) -> Response:
        return get_swagger_ui_html(
            title="jobfleet API",
            swagger_js_url=f"{assets}/swagger-ui-bundle.js",
            swagger_css_url=f"{assets}/swagger-ui.css",
            swagger_favicon_url=f"{assets}/favicon-32x32.png",
            swagger_ui_init_script_url=f"{root_path}/docs/init.js",
        )

    async def script(_: Request) -> Response:
        # The standalone preset is not vendored: without a layout of its own it is not needed.
        return get_swagger_ui_init_js(
            openapi_url=f"{root_path}/openapi.json",
            swagger_ui_parameters={"tryItOutEnabled": True, "layout": "BaseLayout"},
        )

    app.add_route("/docs", page, include_in_schema=False)
    app.add_route("/docs/init.js", script, include_in_schema=False)


def _describe(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(
        title="jobfleet", version=app.version, description=_DESCRIPTION, routes=app.routes
    )
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    schemas.update(_own_schemas())
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    components["securitySchemes"] = {
        "bearer": {"type": "http", "scheme": "bearer"},
        "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    }
    document["security"] = [{"bearer": []}, {"apiKey": []}, {}]
    for operations in document["paths"].values():
        for operation in operations.values():
            _drop_default_validation(operation)
    return document


def _drop_default_validation(operation: dict[str, Any]) -> None:
    """Parameters that do not fit are 400 here; the framework announces a 422 of its own."""
    content = operation["responses"].get("422", {}).get("content", {})
    if "application/json" in content:
        del operation["responses"]["422"]


def _own_schemas() -> dict[str, Any]:
    request = JobRequest.model_json_schema(ref_template=f"{_REF}{{model}}")
    return {
        **request.pop("$defs", {}),
        "JobRequest": request,
        "HttpJobRequest": _http_job(request),
        "BulkRequest": _object(
            {"jobs": {"type": "array", "items": _any_job(), "minItems": 1, "maxItems": MAX_BULK}},
            required=["jobs"],
        ),
        **_action_requests(),
        "CallbackRequest": _callback_request(),
        **_group_requests(request),
        **_schedule_requests(request),
    }


def _group_requests(job: dict[str, Any]) -> dict[str, Any]:
    """Requests of a group: what opens it, its members, and its seal."""
    properties = job["properties"]
    number = {"type": "integer", "minimum": 0, "maximum": MOST_MEMBERS}
    return {
        "GroupRequest": _object(
            {
                "groupId": {"type": "string", "format": "uuid"},
                "name": properties["jobName"],
                "onFailure": {"enum": [*ON_FAILURE]},
                "sealSeconds": {
                    "type": "number",
                    "minimum": 1,
                    "maximum": LONGEST_SEAL_SECONDS,
                },
                "then": properties["then"],
                "callbackUrl": properties["callbackUrl"],
                "memberOf": _object(
                    {"groupId": {"type": "string", "format": "uuid"}, "index": number},
                    required=["groupId", "index"],
                ),
            },
            required=[],
        ),
        "MembersRequest": _object(
            {
                "first": number,
                "jobs": {
                    "type": "array",
                    "items": _any_job(),
                    "minItems": 1,
                    "maxItems": MAX_BULK,
                },
            },
            required=["first", "jobs"],
        ),
        "SealRequest": _object({"total": number}, required=["total"]),
    }


def _schedule_requests(job: dict[str, Any]) -> dict[str, Any]:
    """A schedule's request: the rule, and what a job is given but its id and times."""
    rule = ScheduleRule.model_json_schema(by_alias=True, ref_template=f"{_REF}{{model}}")
    shared = {
        name: rule_ for name, rule_ in job["properties"].items() if name not in SET_BY_SCHEDULE
    }
    reason = {"reason": {"type": "string", "maxLength": MAX_REASON}}
    time = {"type": "string", "format": "date-time"}
    return {
        "ScheduleRequest": _object(shared | rule["properties"] | reason, required=["type"]),
        "BackfillRequest": _object(
            {"since": time, "until": time} | reason, required=["since", "until"]
        ),
    }


def _any_job() -> dict[str, Any]:
    return {"anyOf": [{"$ref": f"{_REF}JobRequest"}, {"$ref": f"{_REF}HttpJobRequest"}]}


def _http_job(request: dict[str, Any]) -> dict[str, Any]:
    """The short form: the request's fields but ``type``, and those of the call."""
    hidden = {"type", "maxAttempts", "retryDelaySeconds"}
    shared = {name: rule for name, rule in request["properties"].items() if name not in hidden}
    call = {
        "targetUrl": {"type": "string", "pattern": "^https?://"},
        "method": {"type": "string", "enum": _METHODS},
        "headers": {"type": "object", "additionalProperties": {"type": "string"}},
        "body": {"type": "string"},
        "expectStatus": {},
        "maxRetries": {"type": "integer", "minimum": 0, "maximum": 99},
        "retryDelay": {
            "type": "integer",
            "minimum": 0,
            "maximum": 86_400_000,
            "description": "Milliseconds.",
        },
    }
    return _object(shared | call, required=["targetUrl"]) | {"title": "HTTP job, short form"}


def _action_requests() -> dict[str, Any]:
    """Each shape has a name of its own, which generated clients need."""
    text = {"type": "string", "minLength": 1}
    reason = {"type": "string", "maxLength": MAX_REASON}
    action = {"type": "string", "enum": list(JobAction)}
    ids = {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": MAX_IDS}
    by_filter = {
        "action": action,
        "filter": {"$ref": f"{_REF}ActionFilter"},
        "expected": {"type": "integer", "minimum": 0},
    }
    needed = list(by_filter)
    return {
        "ActionRequest": {
            "oneOf": [{"$ref": f"{_REF}ActionByIds"}, {"$ref": f"{_REF}ActionByFilter"}]
        },
        "ActionByIds": _object(
            {"action": action, "ids": ids, "reason": reason}, required=["action", "ids"]
        ),
        "ActionByFilter": _object(by_filter | {"reason": reason}, required=needed),
        "ActionFilter": _object(dict.fromkeys(FIELDS, text), required=[]) | {"minProperties": 1},
    }


def _callback_request() -> dict[str, Any]:
    text = {"type": "string"}
    error = {"anyOf": [text, {"type": "object"}, {"type": "null"}]}
    return {
        "type": "object",
        "properties": {
            "jobId": text | {"format": "uuid"},
            "status": text | {"enum": ["completed", "failed", "cancelled"]},
            "message": {"anyOf": [text, {"type": "null"}]},
            "payload": {},
            "error": error,
        },
        "required": ["jobId", "status"],
    }


def _object(properties: dict[str, Any], *, required: list[str]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }
