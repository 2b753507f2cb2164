"""Takes jobs in."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from jobfleet_contracts.errors import BackendError, BodyConflict, InvalidRequest, JobfleetError
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.job_id import job_id_for_key
from jobfleet_contracts.json_size import MAX_VALUES
from jobfleet_dashboard.api.answer import job_answer
from jobfleet_dashboard.api.descriptions import BULK, SUBMIT
from jobfleet_dashboard.api.documents import BulkAnswer, BulkItem, JobAnswer, ProblemDocument
from jobfleet_dashboard.api.outbound_parts import check_outbound
from jobfleet_dashboard.api.request_parts import checked, json_object
from jobfleet_dashboard.api.route_description import described
from jobfleet_dashboard.api.short_form import expand
from jobfleet_dashboard.problems import body_conflict, problem_document, problem_of
from jobfleet_dashboard.security.access import asker, require
from jobfleet_dashboard.security.principal import Role
from jobfleet_dashboard.services import services_of
from jobfleet_protocol.actions.submission import Submitted

MAX_BULK = 1000
MAX_BULK_VALUES = 3 * MAX_VALUES
"""Decoding is one step of the interpreter that no thread can interrupt: some 50 ms for these."""
_MAX_KEY = 255
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")

router = APIRouter(dependencies=[require(Role.SUBMITTER)], tags=["jobs"])


@router.post("/api/jobs", **described(SUBMIT))
async def submit(request: Request, response: Response) -> JobAnswer:
    """Submit one job; 202 as soon as it is in the audit trail."""
    services = services_of(request)
    await services.rate_limit.check(request)
    key = idempotency_key_of(request)
    body = await json_object(request)
    job = await checked(request, lambda: parse_job(body, request))
    await services.queue_limit.check(job.queue)
    try:
        done = await services.writes.submitter.submit(job, idempotency_key=key, by=asker(request))
    except BodyConflict as error:
        raise body_conflict(str(error), by_key=key is not None) from error
    if not done.created:
        message = "submitted before; this is the same job"
        return job_answer(request, response, done.job_id, done.state, message)
    services.metrics.jobs_registered.inc()
    return job_answer(request, response, done.job_id, done.state, "accepted", warning=done.warning)


@router.post("/api/jobs/bulk", **described(BULK))
async def submit_bulk(request: Request) -> BulkAnswer:
    """Submit up to 1,000 jobs, each for itself; answers in the same order."""
    services = services_of(request)
    await services.rate_limit.check(request)
    body = await json_object(request, known=frozenset({"jobs"}), most=MAX_BULK_VALUES)
    items = _bulk_items(body)
    key = idempotency_key_of(request)
    parsed = await checked(request, lambda: _parse_each(items, request, key))
    jobs = [job for job in parsed if isinstance(job, JobRequest)]
    for queue, count in Counter(job.queue for job in jobs).items():
        await services.queue_limit.check(queue, count)
    done = await services.writes.submitter.submit_many(jobs, by=asker(request))
    if done and all(isinstance(one, BackendError) for one in done):
        raise next(one for one in done if isinstance(one, BackendError))
    services.metrics.jobs_registered.inc(sum(_is_new(one) for one in done))
    answers = iter(done)
    results = [next(answers) if isinstance(one, JobRequest) else one for one in parsed]
    return BulkAnswer(items=[bulk_answer(result) for result in results])


def parse_job(body: dict[str, Any], request: Request) -> JobRequest:
    """Read a job request, and note in its context which HTTP request made it."""
    body = expand(body)
    context = body.get("context")
    if context is None:
        context = {}
    if isinstance(context, dict):
        # The log names the request by this id: what the body says of it must not stand over it.
        body["context"] = _origin(request) | context | _request_id(request)
    job = JobRequest.parse(body)
    check_outbound(body)
    return job


def _origin(request: Request) -> dict[str, str]:
    traceparent = request.headers.get("traceparent", "")
    return {"traceparent": traceparent} if _TRACEPARENT.fullmatch(traceparent) else {}


def _request_id(request: Request) -> dict[str, str]:
    return {"requestId": request.state.request_id}


def idempotency_key_of(request: Request) -> str | None:
    """Return the header's key.

    Raises:
        InvalidRequest: it is empty, too long or not printable.
    """
    key = request.headers.get("idempotency-key")
    if key is not None and not (0 < len(key) <= _MAX_KEY and key.isprintable()):
        raise InvalidRequest(
            f"Idempotency-Key: must be 1 to {_MAX_KEY} printable characters",
            field="Idempotency-Key",
        )
    return key


def _bulk_items(body: dict[str, Any]) -> list[Any]:
    items = body.get("jobs")
    if not isinstance(items, list) or not 0 < len(items) <= MAX_BULK:
        raise InvalidRequest(
            f"jobs: must be a list of 1 to {MAX_BULK:,} job requests", field="jobs"
        )
    return items


def _parse_each(
    items: list[Any], request: Request, key: str | None
) -> list[JobRequest | InvalidRequest]:
    return [_try_parse(item, request, key, place) for place, item in enumerate(items)]


def _try_parse(
    item: Any, request: Request, key: str | None, place: int
) -> JobRequest | InvalidRequest:
    """Read one item; a key of the whole request gives each of its jobs one of its own."""
    try:
        if not isinstance(item, dict):
            raise InvalidRequest("the job request must be a JSON object", field="jobs")
        if key is not None and "jobId" not in item:
            item = item | {"jobId": job_id_for_key(f"{key}/{place}")}
        return parse_job(item, request)
    except InvalidRequest as error:
        return error


def _is_new(result: Submitted | JobfleetError) -> bool:
    return isinstance(result, Submitted) and result.created


def bulk_answer(result: Submitted | JobfleetError) -> BulkItem:
    """Return one item of an answer about many jobs."""
    if isinstance(result, Submitted):
        item = BulkItem(jobId=result.job_id, state=result.state)
        return (
            item if result.warning is None else item.model_copy(update={"warning": result.warning})
        )
    return BulkItem(error=ProblemDocument(**problem_document(problem_of(result))))
