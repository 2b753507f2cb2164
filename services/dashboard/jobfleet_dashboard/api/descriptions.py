"""What OpenAPI says of each route: every status, problem type and an example."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from jobfleet_contracts.lease import MAX_LIMIT_SLOTS
from jobfleet_contracts.rate import MOST_STARTS
from jobfleet_dashboard.api import documents
from jobfleet_dashboard.api.examples import (
    fleet_examples,
    group_examples,
    incident_examples,
    job_examples,
    limit_examples,
    schedule_examples,
    values,
)
from jobfleet_dashboard.api.route_description import READ, WRITE, Description


def _parameter(place: str, name: str, text: str) -> dict[str, Any]:
    kind = {"type": "integer", "minimum": 1} if place == "query" else {"type": "string"}
    return {"name": name, "in": place, "schema": kind, "description": text}


_SUBMIT = (*WRITE, "body-conflict", "idempotency-key-reused", "rate-limited", "queue-full")
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
    text="Accepted: it is in the audit trail.",
    example=job_examples.ACCEPTED,
    status=202,
    headers=("Location", "Retry-After"),
    problems=_SUBMIT,
    schema={"anyOf": [{"$ref": f"{_REF}JobRequest"}, {"$ref": f"{_REF}HttpJobRequest"}]},
    requests={"job": job_examples.REQUEST, "http": job_examples.SHORT_REQUEST},
    key_header=True,
)
BULK = Description(
    text="One item per job, in order.",
    example=job_examples.BULK,
    status=202,
    problems=(*WRITE, "rate-limited", "queue-full"),
    schema={"$ref": f"{_REF}BulkRequest"},
    requests={"jobs": job_examples.BULK_REQUEST},
    key_header=True,
)
JOBS = Description(
    text="Events, newest first; with `view=jobs` jobs, last changed first: "
    "one that changes while you page moves to the first page.",
    example=job_examples.EVENTS,
    problems=("invalid-request", *READ),
)
FLEET_EVENTS = Description(
    text="Events of all jobs, newest first. A search that stops before the end says in "
    "`searchedBackTo` how far back it has looked; `next` goes on from there.",
    example=job_examples.EVENTS,
    problems=("invalid-request", *READ),
)
JOB = Description(
    text="The job.",
    example=job_examples.JOB,
    bare=(304,),
    headers=_POLL,
    problems=("invalid-request", "unknown-job", *READ),
)
LOGS = Description(
    text="Attempts, first one first; a page ends after 1 MiB.",
    example=job_examples.LOGS,
    problems=("invalid-request", "unknown-job", *READ),
)
LINES = Description(
    text="Log lines of the handler, first one first.",
    example=job_examples.LINES,
    problems=("invalid-request", "unknown-job", *READ),
)
EVENTS = Description(
    text="Events, oldest first; a page ends after 1 MiB.",
    example=job_examples.HISTORY,
    problems=("invalid-request", "unknown-job", *READ),
)
FLEET_STREAM = Description(
    text="Server-sent events: `data` is an event, `id` its cursor.",
    media_type="text/event-stream",
    problems=("invalid-request", *READ),
)
JOB_STREAM = Description(
    text="Server-sent events: `data` is an event, `id` its sequence.",
    media_type="text/event-stream",
    problems=("invalid-request", "unknown-job", *READ),
)
CANCEL = Description(
    text="Cancelled, or its worker was asked to stop.",
    example=job_examples.ACCEPTED,
    status=202,
    headers=("Location", "Retry-After"),
    problems=(*WRITE, "unknown-job", "action-refused"),
    schema=_REASON,
)
ACT = replace(CANCEL, text="Done.", schema=_NOTHING)
ERASE = replace(
    CANCEL,
    text="The values go in an hour, of jobs made from this one too; the message says what stays.",
    schema=_WHY,
)
ACT_ON_MANY = Description(
    text="One item per job; with a filter or `Prefer: respond-async`, the action's id.",
    example=job_examples.ACTIONS,
    status=202,
    problems=(*WRITE, "action-refused"),
    schema={"$ref": f"{_REF}ActionRequest"},
    requests={"ids": job_examples.ACTION_REQUEST},
)
GROUP_OPEN = Description(
    text="Opened: it waits for its members.",
    example=job_examples.ACCEPTED,
    status=202,
    headers=("Location", "Retry-After"),
    problems=(*WRITE, "unknown-job", "body-conflict", "rate-limited"),
    schema={"$ref": f"{_REF}GroupRequest"},
    requests={"group": group_examples.GROUP_REQUEST},
    key_header=True,
)
GROUP_MEMBERS = Description(
    text="One item per member, in order.",
    example=job_examples.BULK,
    status=202,
    problems=(*WRITE, "unknown-job", "rate-limited"),
    schema={"$ref": f"{_REF}MembersRequest"},
    requests={"members": group_examples.MEMBERS_REQUEST},
)
GROUP_SEAL = Description(
    text="Sealed: it ends when its members have ended.",
    example=job_examples.ACCEPTED,
    status=202,
    headers=("Location", "Retry-After"),
    problems=(*WRITE, "unknown-job", "action-refused"),
    schema={"$ref": f"{_REF}SealRequest"},
    requests={"seal": {"total": 2}},
)
GROUP = Description(
    text="The group.",
    example=group_examples.GROUP,
    problems=(*READ, "unknown-job", "action-refused"),
)
GROUP_LIST = Description(
    text="A page of members.",
    example=group_examples.MEMBERS,
    problems=("invalid-request", *READ, "unknown-job", "action-refused"),
)
GROUP_ACT = Description(
    text="Accepted: the action goes on by itself.",
    example=job_examples.ACTION_ACCEPTED,
    status=202,
    headers=("Location", "Retry-After"),
    problems=(*WRITE, "unknown-job", "action-refused"),
    schema=_REASON,
)
CALLBACK = Description(
    text="Accepted, now or before.",
    example=job_examples.CALLBACK_ANSWER,
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
    requests={"completed": job_examples.CALLBACK},
    parameters=(
        _parameter("query", "incarnation", "Of the job, as its callback address names it."),
        _parameter("header", "X-HMAC-SHA256", "Hex HMAC-SHA256 of the body; or the next three."),
        _parameter("header", "webhook-id", "Standard Webhooks."),
        _parameter("header", "webhook-timestamp", "Standard Webhooks; seconds since 1970."),
        _parameter("header", "webhook-signature", "Standard Webhooks; `v1,` and base64."),
    ),
)
SCHEDULES = Description(
    text="Schedules, by name.",
    example=schedule_examples.SCHEDULES,
)
SCHEDULE = Description(
    text="The schedule.",
    example=schedule_examples.SCHEDULE,
    problems=("invalid-request", "unknown-schedule", *READ),
)
SCHEDULE_PUT = Description(
    text="The schedule as it now is.",
    example=schedule_examples.SCHEDULE,
    problems=(*WRITE, "unknown-schedule"),
    schema={"$ref": f"{_REF}ScheduleRequest"},
    requests={"cron": schedule_examples.SCHEDULE_REQUEST},
)
SCHEDULE_ACT = Description(
    text="Done.",
    example=schedule_examples.SCHEDULE_DONE,
    status=202,
    problems=(*WRITE, "unknown-schedule"),
    schema=_REASON,
)
SCHEDULE_RUN = replace(
    SUBMIT,
    text="Accepted: the job is in the audit trail.",
    problems=(*WRITE, "unknown-schedule", "rate-limited", "queue-full"),
    schema=_REASON,
    requests=None,
    key_header=False,
)
SCHEDULE_BACKFILL = Description(
    text="The jobs, oldest tick first.",
    example=schedule_examples.BACKFILL,
    status=202,
    problems=(*WRITE, "unknown-schedule"),
    schema={"$ref": f"{_REF}BackfillRequest"},
    requests={"week": schedule_examples.BACKFILL_REQUEST},
)
SCHEDULE_NEXT = Description(
    text="Times in UTC, earliest first.",
    example={"items": [values.AT]},
    problems=("invalid-request", "unknown-schedule", *READ),
)
SCHEDULE_HISTORY = Description(
    text="Entries, newest first.",
    example=schedule_examples.SCHEDULE_HISTORY,
    problems=("invalid-request", "unknown-schedule", *READ),
)
WORKERS = Description(
    text="Workers, longest running first.",
    example=fleet_examples.WORKERS,
)
WORKER = Description(
    text="The worker.",
    example=fleet_examples.WORKER,
    problems=("not-found", *READ),
)
QUEUES = Description(text="Lanes, and queues.", example=fleet_examples.QUEUES)
TYPES = Description(text="Job types.", example=fleet_examples.TYPES)
PAUSE = Description(
    text="Paused; the pause stands in the control log.",
    example=fleet_examples.PAUSED,
    status=202,
    problems=WRITE,
    schema=_PAUSE,
    requests={"until": fleet_examples.PAUSE_REQUEST},
)
RESUME = replace(PAUSE, text="Open.", example=fleet_examples.RESUMED, schema=_REASON, requests=None)
RUN_ANYWAY = replace(
    RESUME,
    text="The job may start once.",
    example=fleet_examples.RUN_ANYWAY,
    problems=(*WRITE, "unknown-job", "action-refused"),
)
LOCKS = Description(text="Lock keys.", example=fleet_examples.LOCKS)
LIMITS = Description(text="Limits, by name.", example=limit_examples.LIMITS)
LIMIT = Description(
    text="The limit.",
    example=limit_examples.LIMIT,
    problems=("invalid-request", "unknown-limit", *READ),
)
LIMIT_PUT = Description(
    text="The limit as it now is.",
    example=limit_examples.LIMIT,
    problems=(*WRITE, "unknown-limit"),
    schema=_LIMIT,
    requests={"both": limit_examples.LIMIT_REQUEST},
)
LIMIT_REMOVE = Description(
    text="Removed.",
    example=limit_examples.LIMIT_REMOVED,
    status=202,
    problems=(*WRITE, "unknown-limit"),
    schema=_REASON,
)
LIMIT_HISTORY = Description(
    text="Entries, newest first.",
    example=limit_examples.LIMIT_HISTORY,
    problems=("invalid-request", "unknown-limit", *READ),
)
DEAD_LETTERS = Description(
    text="Messages first, then jobs.",
    example=fleet_examples.DEAD_LETTERS,
    problems=("invalid-request", *READ),
)
STATS = Description(text="By state.", example=fleet_examples.STATS)
VERDICT = Description(
    text="Problems, worst first; none in a fleet that is well.",
    example=incident_examples.VERDICT,
    problems=("invalid-request", *READ),
)
ERRORS = Description(
    text="Groups, most failed jobs first.",
    example=incident_examples.ERRORS,
    problems=("invalid-request", *READ),
)
JOURNAL = Description(
    text="Newest first.",
    example=incident_examples.JOURNAL,
    problems=("invalid-request", *READ),
)
BULK_ACTION = Description(
    text="The action.",
    example=incident_examples.BULK_ACTION,
    problems=("action-refused", "not-found", *READ),
)
RESULTS = Description(
    text="The last ones first.",
    example=incident_examples.RESULTS,
    problems=("action-refused", "invalid-request", "not-found", *READ),
)
STOP_ACTION = Description(
    text="It stops after the batch under way.",
    example=incident_examples.BULK_ACTION,
    status=202,
    problems=("action-refused", "not-found", *WRITE),
)
WAITING = Description(
    text="The strongest reason first.",
    example=job_examples.WAITING,
    problems=("unknown-job", *READ),
)
EXPORT_CSV = Description(
    text="A line of names, then a line for each job.",
    media_type="text/csv",
    example="jobId,jobName,type,state\r\n",
    problems=("invalid-request", *READ),
)
EXPORT_JSON = Description(
    text="A line of JSON for each job.",
    media_type="application/x-ndjson",
    example=f'{{"jobId":"{values.JOB_ID}","type":"crm.sync","state":"failed"}}\n',
    problems=("invalid-request", *READ),
)
EVENTS_CSV = Description(
    text="A line of names, then a line for each event, newest first; without its data.",
    media_type="text/csv",
    example="timestamp,jobId,jobName,type,sequence,status\r\n",
    problems=("invalid-request", *READ),
)
EVENTS_JSON = Description(
    text="A line of JSON for each event, newest first.",
    media_type="application/x-ndjson",
    example=f'{{"jobId":"{values.JOB_ID}","sequence":3,"status":"Failed"}}\n',
    problems=("invalid-request", *READ),
)
LIVEZ = Description(
    text="Alive.",
    example=fleet_examples.ALIVE,
    problems=("cross-site-request",),
)
READYZ = Description(
    text="Ready (200), or not yet (503).",
    example=fleet_examples.READY,
    also={503: documents.Readiness},
    problems=("cross-site-request",),
)
METRICS = Description(text="Exposition format.", media_type="text/plain", problems=READ)
