"""Groups: open one, submit its members, seal it, see where it stands."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from jobfleet_contracts.errors import InvalidRequest, JobfleetError
from jobfleet_contracts.job import JobRequest, unknown_fields
from jobfleet_dashboard.api.answer import answer, job_answer
from jobfleet_dashboard.api.descriptions import GROUP, GROUP_MEMBERS, GROUP_OPEN, GROUP_SEAL
from jobfleet_dashboard.api.documents import BulkAnswer
from jobfleet_dashboard.api.group_documents import GroupDocument, MemberDocument
from jobfleet_dashboard.api.outbound_parts import check_outbound
from jobfleet_dashboard.api.request_parts import JobId, checked, json_object
from jobfleet_dashboard.api.route_description import described
from jobfleet_dashboard.api.submission import (
    MAX_BULK,
    MAX_BULK_VALUES,
    bulk_answer,
    idempotency_key_of,
    parse_job,
)
from jobfleet_dashboard.security.access import asker, require
from jobfleet_dashboard.security.principal import Role
from jobfleet_dashboard.services import services_of
from jobfleet_protocol.actions.group_counts import member_id
from jobfleet_protocol.actions.groups import SEAL_SECONDS, GroupStanding, group_request
from jobfleet_protocol.actions.submission import Submitted

_OPEN = frozenset({"groupId", "name", "onFailure", "sealSeconds", "then", "callbackUrl"})
_SHOWN = 100

router = APIRouter(prefix="/api/groups", tags=["groups"])
VIEWER, SUBMITTER = map(require, (Role.VIEWER, Role.SUBMITTER))


@router.post("", dependencies=[SUBMITTER], **described(GROUP_OPEN))
async def open_group(request: Request) -> Response:
    """Open a group; the same id or key again is the same group."""
    services = services_of(request)
    await services.rate_limit.check(request)
    key = idempotency_key_of(request)
    body = await json_object(request, known=_OPEN)
    group = await checked(request, lambda: _parse(body))
    done = await services.writes.groups.open(group, idempotency_key=key, by=asker(request))
    message = "opened" if done.created else "opened before; this is the same group"
    return job_answer(request, done.job_id, done.state, message)


@router.post("/{jobId:uuid}/members", dependencies=[SUBMITTER], **described(GROUP_MEMBERS))
async def submit_members(request: Request, job_id: JobId) -> Response:
    """Submit up to 1,000 members at consecutive places, each for itself; answers in their order."""
    services = services_of(request)
    await services.rate_limit.check(request)
    body = await json_object(request, known=frozenset({"first", "jobs"}), most=MAX_BULK_VALUES)
    first, items = _number(body, "first"), body.get("jobs")
    if not isinstance(items, list) or not 0 < len(items) <= MAX_BULK:
        told = f"jobs: must be a list of 1 to {MAX_BULK:,} job requests"
        raise InvalidRequest(told, field="jobs")
    parsed = await checked(request, lambda: [_member(item, request) for item in items])
    results: list[Submitted | JobfleetError] = []
    for place, job in enumerate(parsed):
        results.append(await _submitted(request, job_id, first + place, job))
    created = sum(isinstance(one, Submitted) and one.created for one in results)
    services.metrics.jobs_registered.inc(created)
    return answer(BulkAnswer(items=[bulk_answer(result) for result in results]), 202)


@router.post("/{jobId:uuid}/seal", dependencies=[SUBMITTER], **described(GROUP_SEAL))
async def seal_group(request: Request, job_id: JobId) -> Response:
    """Say how many members the group has; it ends when they have ended."""
    body = await json_object(request, known=frozenset({"total"}))
    total = _number(body, "total")
    state = await services_of(request).writes.groups.seal(job_id, total, by=asker(request))
    return job_answer(request, job_id, state, f"sealed with {total} members")


@router.get("/{jobId:uuid}", dependencies=[VIEWER], **described(GROUP))
async def group(request: Request, job_id: JobId) -> Response:
    """Where the group stands: how many members have ended, and how."""
    return answer(document_of(await services_of(request).writes.groups.standing(job_id)))


def document_of(standing: GroupStanding) -> GroupDocument:
    """Return a group as the API gives it."""
    head, states = standing.head, standing.states
    return GroupDocument(
        group_id=head.job_id,
        name=head.facts.job_name,
        state=head.after.state,
        on_failure=standing.on_failure,
        total=standing.total,
        ended=states.total(),
        states=dict(sorted(states.items())),
        bad=[
            MemberDocument(index=index, job_id=member_id(head.job_id, index))
            for index in standing.bad[:_SHOWN]
        ],
    )


def _parse(body: dict[str, Any]) -> JobRequest:
    names = {"groupId": "jobId", "name": "jobName", "then": "then", "callbackUrl": "callbackUrl"}
    fields = {wire: body[name] for name, wire in names.items() if body.get(name) is not None}
    seconds = body.get("sealSeconds")
    if seconds is not None and (isinstance(seconds, bool) or not isinstance(seconds, int | float)):
        raise InvalidRequest("sealSeconds: must be a number", field="sealSeconds")
    group = group_request(
        fields,
        on_failure=body.get("onFailure") or "continue",
        seal_seconds=SEAL_SECONDS if seconds is None else seconds,
    )
    check_outbound(group.to_json())
    return group


def _member(item: Any, request: Request) -> JobRequest | InvalidRequest:
    if not isinstance(item, dict):
        return InvalidRequest("the job request must be a JSON object", field="jobs")
    if "jobId" in item:
        return unknown_fields(["jobId"])
    try:
        return parse_job(item, request)
    except InvalidRequest as error:
        return error


async def _submitted(
    request: Request, group_id: str, index: int, job: JobRequest | InvalidRequest
) -> Submitted | JobfleetError:
    if isinstance(job, InvalidRequest):
        return job
    groups = services_of(request).writes.groups
    try:
        return await groups.add(group_id, index, job, by=asker(request))
    except JobfleetError as error:
        return error


def _number(body: dict[str, Any], field: str) -> int:
    value = body.get(field)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise InvalidRequest(f"{field}: must be a whole number from 0", field=field)
    return value
