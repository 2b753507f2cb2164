"""What OpenAPI says of each route: every status, problem type and an example."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from fastapi_problem.error import Problem
from starlette.responses import JSONResponse, Response

from jobfleet_contracts.errors import BackendUnavailable
from jobfleet_contracts.lease import MAX_LIMIT_SLOTS
from jobfleet_contracts.rate import MOST_STARTS
from jobfleet_dashboard import problems
from jobfleet_dashboard.api import (
    bulk_documents,
    documents,
    error_documents,
    examples,
    group_documents,
    limit_documents,
    schedule_documents,
    type_documents,
    waiting_documents,
    worker_documents,
)
from jobfleet_dashboard.problems import problem_document

_PROBLEMS: tuple[Problem, ...] = (
    problems.invalid("priority: Input should be less than or equal to 9", "priority"),
    problems.not_authenticated("send a key as `Authorization: Bearer KEY`"),
    problems.bad_signature("the callback carries no valid signature"),
    problems.forbidden("key reports is a viewer; this needs submitter"),
    problems.forbidden("this change was asked for by another web site", "cross-site-request"),
    problems.unknown_job(examples.JOB_ID),
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
_READ = ("not-authenticated", "forbidden", "cross-site-request", "backend-unavailable")
_WRITE = ("invalid-request", "body-too-large", *_READ)
_SUBMIT = (*_WRITE, "body-conflict", "idempotency-key-reused", "rate-limited", "queue-full")


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
    problems: tuple[str, ...] = _READ
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


def _parameter(place: str, name: str, text: str) -> dict[str, Any]:
    kind = {"type": "integer", "minimum": 1} if place == "query" else {"type": "string"}
    return {"name": name, "in": place, "schema": kind, "description": text}


_REF = "#/components/schemas/"
_REASON = {
    "type": "object",
    "properties": {"reason": {"type": "string", "maxLength": 1000}},
    "additionalProperties": False,
}
_WHY = _REASON | {
    "properties": {"reason": {"type": "string", "pattern": r"\S", "maxLength": 1000}},
    "required": ["reason"],
}
_LIMIT = {
    "type": "object",
    "properties": {
        "slots": {"type": ["integer", "null"], "minimum": 1, "maximum": MAX_LIMIT_SLOTS},
        "rate": {"type": ["string", "null"], "examples": ["10/second"]},
        "burst": {"type": ["integer", "null"], "minimum": 1, "maximum": MOST_STARTS},
        "reason": {"type": "string", "maxLength": 1000},
    },
    "additionalProperties": False,
}
_PAUSE = {
    "type": "object",
    "properties": {
        "reason": {"type": "string", "maxLength": 1000},
        "until": {"type": ["string", "null"], "format": "date-time"},
    },
    "additionalProperties": False,
}
_NOTHING = {"type": "object", "additionalProperties": False}
_POLL = ("ETag", "Retry-After", "Cache-Control")

SUBMIT = Description(
    text="Accepted: it stands in the audit trail.",
    model=documents.JobAnswer,
    example=examples.ACCEPTED,
    good=(202,),
    headers=("Location", "Retry-After"),
    problems=_SUBMIT,
    schema={"anyOf": [{"$ref": f"{_REF}JobRequest"}, {"$ref": f"{_REF}HttpJobRequest"}]},
    requests={"job": examples.REQUEST, "http": examples.SHORT_REQUEST},
    key_header=True,
)
BULK = Description(
    text="One item per job, in order.",
    model=documents.BulkAnswer,
    example=examples.BULK,
    good=(202,),
    problems=(*_WRITE, "rate-limited", "queue-full"),
    schema={"$ref": f"{_REF}BulkRequest"},
    requests={"jobs": examples.BULK_REQUEST},
    key_header=True,
)
JOBS = Description(
    text="Events, newest first; with `view=jobs` jobs, last changed first: "
    "one that changes while you page moves to the first page.",
    model=documents.EventPage | documents.JobPage,
    example=examples.EVENTS,
    problems=("invalid-request", *_READ),
)
FLEET_EVENTS = Description(
    text="Events of all jobs, newest first. A search that stops before the end says in "
    "`searchedBackTo` how far back it has looked; `next` goes on from there.",
    model=documents.EventPage,
    example=examples.EVENTS,
    problems=("invalid-request", *_READ),
)
JOB = Description(
    text="The job.",
    model=documents.JobDocument,
    example=examples.JOB,
    bare=(304,),
    headers=_POLL,
    problems=("invalid-request", "unknown-job", *_READ),
)
LOGS = Description(
    text="Attempts, first one first; a page ends after 1 MiB.",
    model=documents.AttemptPage,
    example=examples.LOGS,
    problems=("invalid-request", "unknown-job", *_READ),
)
LINES = Description(
    text="Log lines of the handler, first one first.",
    model=documents.LogPage,
    example=examples.LINES,
    problems=("invalid-request", "unknown-job", *_READ),
)
EVENTS = Description(
    text="Events, oldest first; a page ends after 1 MiB.",
    model=documents.HistoryPage,
    example=examples.HISTORY,
    problems=("invalid-request", "unknown-job", *_READ),
)
FLEET_STREAM = Description(
    text="Server-sent events: `data` is an event, `id` its cursor.",
    media_type="text/event-stream",
    problems=("invalid-request", *_READ),
)
JOB_STREAM = Description(
    text="Server-sent events: `data` is an event, `id` its sequence.",
    media_type="text/event-stream",
    problems=("invalid-request", "unknown-job", *_READ),
)
CANCEL = Description(
    text="Cancelled, or its worker was asked to stop.",
    model=documents.JobAnswer,
    example=examples.ACCEPTED,
    good=(202,),
    headers=("Location", "Retry-After"),
    problems=(*_WRITE, "unknown-job", "action-refused"),
    schema=_REASON,
)
ACT = replace(CANCEL, text="Done.", schema=_NOTHING)
ERASE = replace(
    CANCEL,
    text="The values go in an hour, of jobs made from this one too; the message says what stays.",
    schema=_WHY,
)
ACT_ON_MANY = Description(
    text="One item per job; of a filter, or with `Prefer: respond-async`, the action's id.",
    model=documents.ActionAnswer,
    example=examples.ACTIONS,
    good=(202,),
    problems=(*_WRITE, "action-refused"),
    schema={"$ref": f"{_REF}ActionRequest"},
    requests={"ids": examples.ACTION_REQUEST},
)
GROUP_OPEN = Description(
    text="Opened: it waits for its members.",
    model=documents.JobAnswer,
    example=examples.ACCEPTED,
    good=(202,),
    headers=("Location", "Retry-After"),
    problems=(*_WRITE, "body-conflict", "rate-limited"),
    schema={"$ref": f"{_REF}GroupRequest"},
    requests={"group": examples.GROUP_REQUEST},
    key_header=True,
)
GROUP_MEMBERS = Description(
    text="One item per member, in order.",
    model=documents.BulkAnswer,
    example=examples.BULK,
    good=(202,),
    problems=(*_WRITE, "unknown-job", "rate-limited"),
    schema={"$ref": f"{_REF}MembersRequest"},
    requests={"members": examples.MEMBERS_REQUEST},
)
GROUP_SEAL = Description(
    text="Sealed: it ends when its members have ended.",
    model=documents.JobAnswer,
    example=examples.ACCEPTED,
    good=(202,),
    headers=("Location", "Retry-After"),
    problems=(*_WRITE, "unknown-job", "action-refused"),
    schema={"$ref": f"{_REF}SealRequest"},
    requests={"seal": {"total": 2}},
)
GROUP = Description(
    text="The group.",
    model=group_documents.GroupDocument,
    example=examples.GROUP,
    problems=(*_READ, "unknown-job", "action-refused"),
)
CALLBACK = Description(
    text="Accepted, now or before.",
    model=documents.CallbackAnswer,
    example=examples.CALLBACK_ANSWER,
    problems=(
        "invalid-request",
        "bad-signature",
        "cross-site-request",
        "unknown-job",
        "action-refused",
        "body-too-large",
        "backend-unavailable",
    ),
    schema={"$ref": f"{_REF}CallbackRequest"},
    requests={"completed": examples.CALLBACK},
    parameters=(
        _parameter("query", "incarnation", "Of the job, as its callback address names it."),
        _parameter("header", "X-HMAC-SHA256", "Hex HMAC-SHA256 of the body; or the next three."),
        _parameter("header", "webhook-id", "Standard Webhooks."),
        _parameter("header", "webhook-timestamp", "Standard Webhooks; seconds since 1970."),
        _parameter("header", "webhook-signature", "Standard Webhooks; `v1,` and base64."),
    ),
)
SCHEDULES = Description(
    text="Schedules, by name.", model=schedule_documents.ScheduleList, example=examples.SCHEDULES
)
SCHEDULE = Description(
    text="The schedule.",
    model=schedule_documents.ScheduleDocument,
    example=examples.SCHEDULE,
    problems=("invalid-request", "unknown-schedule", *_READ),
)
SCHEDULE_PUT = Description(
    text="The schedule as it now is.",
    model=schedule_documents.ScheduleDocument,
    example=examples.SCHEDULE,
    problems=(*_WRITE, "unknown-schedule"),
    schema={"$ref": f"{_REF}ScheduleRequest"},
    requests={"cron": examples.SCHEDULE_REQUEST},
)
SCHEDULE_ACT = Description(
    text="Done.",
    model=schedule_documents.ScheduleAnswer,
    example=examples.SCHEDULE_DONE,
    good=(202,),
    problems=(*_WRITE, "unknown-schedule"),
    schema=_REASON,
)
SCHEDULE_RUN = replace(
    SUBMIT,
    text="Accepted: the job stands in the audit trail.",
    problems=(*_WRITE, "unknown-schedule", "rate-limited", "queue-full"),
    schema=_REASON,
    requests=None,
    key_header=False,
)
SCHEDULE_BACKFILL = Description(
    text="The jobs, oldest tick first.",
    model=schedule_documents.BackfillAnswer,
    example=examples.BACKFILL,
    good=(202,),
    problems=(*_WRITE, "unknown-schedule"),
    schema={"$ref": f"{_REF}BackfillRequest"},
    requests={"week": examples.BACKFILL_REQUEST},
)
SCHEDULE_NEXT = Description(
    text="Times in UTC, earliest first.",
    model=schedule_documents.NextRuns,
    example={"items": [examples.AT]},
    problems=("invalid-request", "unknown-schedule", *_READ),
)
SCHEDULE_HISTORY = Description(
    text="Entries, newest first.",
    model=schedule_documents.ScheduleHistory,
    example=examples.SCHEDULE_HISTORY,
    problems=("invalid-request", "unknown-schedule", *_READ),
)
WORKERS = Description(
    text="Workers, longest running first.",
    model=worker_documents.WorkerList,
    example=examples.WORKERS,
)
WORKER = Description(
    text="The worker.",
    model=worker_documents.WorkerDetail,
    example=examples.WORKER,
    problems=("not-found", *_READ),
)
QUEUES = Description(text="Lanes, and queues.", model=documents.QueueList, example=examples.QUEUES)
TYPES = Description(text="Job types.", model=type_documents.TypeList, example=examples.TYPES)
PAUSE = Description(
    text="Paused; the pause stands in the control log.",
    model=documents.PauseAnswer,
    example=examples.PAUSED,
    good=(202,),
    problems=_WRITE,
    schema=_PAUSE,
    requests={"until": examples.PAUSE_REQUEST},
)
RESUME = replace(PAUSE, text="Open.", example=examples.RESUMED, schema=_REASON, requests=None)
RUN_ANYWAY = replace(
    RESUME,
    text="The job may start once.",
    example=examples.RUN_ANYWAY,
    problems=(*_WRITE, "unknown-job", "action-refused"),
)
LOCKS = Description(text="Lock keys.", model=documents.LockList, example=examples.LOCKS)
LIMITS = Description(
    text="Limits, by name.", model=limit_documents.LimitList, example=examples.LIMITS
)
LIMIT = Description(
    text="The limit.",
    model=limit_documents.LimitDocument,
    example=examples.LIMIT,
    problems=("invalid-request", "unknown-limit", *_READ),
)
LIMIT_PUT = Description(
    text="The limit as it now is.",
    model=limit_documents.LimitDocument,
    example=examples.LIMIT,
    problems=(*_WRITE, "unknown-limit"),
    schema=_LIMIT,
    requests={"both": examples.LIMIT_REQUEST},
)
LIMIT_REMOVE = Description(
    text="Removed.",
    model=limit_documents.LimitAnswer,
    example=examples.LIMIT_REMOVED,
    good=(202,),
    problems=(*_WRITE, "unknown-limit"),
    schema=_REASON,
)
LIMIT_HISTORY = Description(
    text="Entries, newest first.",
    model=limit_documents.LimitHistory,
    example=examples.LIMIT_HISTORY,
    problems=("invalid-request", "unknown-limit", *_READ),
)
DEAD_LETTERS = Description(
    text="Messages first, then jobs.",
    model=documents.DeadLetterPage,
    example=examples.DEAD_LETTERS,
    problems=("invalid-request", *_READ),
)
STATS = Description(text="By state.", model=documents.StateList, example=examples.STATS)
VERDICT = Description(
    text="Problems, worst first; none in a fleet that is well.",
    model=documents.VerdictDocument,
    example=examples.VERDICT,
    problems=("invalid-request", *_READ),
)
ERRORS = Description(
    text="Groups, most failed jobs first.",
    model=error_documents.ErrorReportDocument,
    example=examples.ERRORS,
    problems=("invalid-request", *_READ),
)
JOURNAL = Description(
    text="Newest first.",
    model=bulk_documents.JournalPage,
    example=examples.JOURNAL,
    problems=("invalid-request", *_READ),
)
BULK_ACTION = Description(
    text="The action.",
    model=bulk_documents.BulkActionDocument,
    example=examples.BULK_ACTION,
    problems=("not-found", *_READ),
)
RESULTS = Description(
    text="The last ones first.",
    model=bulk_documents.JobResultPage,
    example=examples.RESULTS,
    problems=("invalid-request", "not-found", *_READ),
)
STOP_ACTION = Description(
    text="It stops after the batch under way.",
    model=bulk_documents.BulkActionDocument,
    example=examples.BULK_ACTION,
    good=(202,),
    problems=("action-refused", "not-found", *_WRITE),
)
WAITING = Description(
    text="The strongest reason first.",
    model=waiting_documents.WaitingList,
    example=examples.WAITING,
    problems=("unknown-job", *_READ),
)
EXPORT_CSV = Description(
    text="A line of names, then a line for each job.",
    media_type="text/csv",
    example="jobId,jobName,type,state\r\n",
    problems=("invalid-request", *_READ),
)
EXPORT_JSON = Description(
    text="A line of JSON for each job.",
    media_type="application/x-ndjson",
    example=f'{{"jobId":"{examples.JOB_ID}","type":"crm.sync","state":"failed"}}\n',
    problems=("invalid-request", *_READ),
)
LIVEZ = Description(
    text="Alive.", model=documents.Alive, example=examples.ALIVE, problems=("cross-site-request",)
)
READYZ = Description(
    text="Ready (200), or not yet (503).",
    model=documents.Readiness,
    example=examples.READY,
    good=(200, 503),
    problems=("cross-site-request",),
)
METRICS = Description(text="Exposition format.", media_type="text/plain", problems=_READ)
