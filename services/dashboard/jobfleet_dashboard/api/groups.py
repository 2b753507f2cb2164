"""Groups: open one, submit its members, seal it, see where it stands."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from jobfleet_contracts.errors import InvalidRequest, JobfleetError
from jobfleet_contracts.job import JobRequest, unknown_fields
from jobfleet_dashboard.api.action_selection import reason_of
from jobfleet_dashboard.api.actions import accepted_answer
from jobfleet_dashboard.api.answer import job_answer
from jobfleet_dashboard.api.descriptions import (
    GROUP,
    GROUP_ACT,
    GROUP_LIST,
    GROUP_MEMBERS,
    GROUP_OPEN,
    GROUP_SEAL,
)
from jobfleet_dashboard.api.documents import ActionAnswer, BulkAnswer, JobAnswer
from jobfleet_dashboard.api.filters import MembersFilter
from jobfleet_dashboard.api.group_documents import GroupDocument, MemberPage
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
from jobfleet_dashboard.group_actions import accept
from jobfleet_dashboard.security.access import asker, require
from jobfleet_dashboard.security.principal import Role
from jobfleet_dashboard.services import services_of
from jobfleet_protocol.actions.groups import SEAL_SECONDS, group_request
from jobfleet_protocol.actions.submission import Submitted
from jobfleet_protocol.reading.job_actions import JobAction

_OPEN = frozenset(
    {"groupId", "name", "onFailure", "sealSeconds", "then", "callbackUrl", "memberOf"}
)

router = APIRouter(prefix="/api/groups", tags=["groups"])
VIEWER, SUBMITTER, OPERATOR = map(require, (Role.VIEWER, Role.SUBMITTER, Role.OPERATOR))


@router.post("", dependencies=[SUBMITTER], **described(GROUP_OPEN))
async def open_group(request: Request, response: Response) -> JobAnswer:
    """Open a group; the same id or key again is the same group."""
    services = services_of(request)
    await services.rate_limit.check(request)
    key = idempotency_key_of(request)
    body = await json_object(request, known=_OPEN)
    group = await checked(request, lambda: _parse(body))
    groups, parent = services.writes.groups, _parent(body, key)
    if parent is None:
        done = await groups.open(group, idempotency_key=key, by=asker(request))
    else:
        done = await groups.open_member(*parent, group, by=asker(request))
    message = "opened" if done.created else "opened before; this is the same group"
    return job_answer(request, response, done.job_id, done.state, message)


@router.post("/{jobId:uuid}/members", dependencies=[SUBMITTER], **described(GROUP_MEMBERS))
async def submit_members(request: Request, job_id: JobId) -> BulkAnswer:
    """Submit up to 1,000 members at consecutive places, each for itself; answers in their order."""
    services = services_of(request)
    await services.rate_limit.check(request)
    body = await json_object(request, known=frozenset({"first", "jobs"}), most=MAX_BULK_VALUES)
    first, items = _number(body, "first"), body.get("jobs")
    if not isinstance(items, list) or not 0 < len(items) <= MAX_BULK:
        message = f"jobs: must be a list of 1 to {MAX_BULK:,} job requests"
        raise InvalidRequest(message, field="jobs")
    parsed = await checked(request, lambda: [_member(item, request) for item in items])
    results: list[Submitted | JobfleetError] = []
    for place, job in enumerate(parsed):
        results.append(await _submitted(request, job_id, first + place, job))
    created = sum(isinstance(one, Submitted) and one.created for one in results)
    services.metrics.jobs_registered.inc(created)
    return BulkAnswer(items=[bulk_answer(result) for result in results])


@router.post("/{jobId:uuid}/seal", dependencies=[SUBMITTER], **described(GROUP_SEAL))
async def seal_group(request: Request, response: Response, job_id: JobId) -> JobAnswer:
    """Say how many members the group has; it ends when they have ended."""
    body = await json_object(request, known=frozenset({"total"}))
    total = _number(body, "total")
    state = await services_of(request).writes.groups.seal(job_id, total, by=asker(request))
    return job_answer(request, response, job_id, state, f"sealed with {total} members")


@router.get("/{jobId:uuid}", dependencies=[VIEWER], **described(GROUP))
async def group(request: Request, job_id: JobId) -> GroupDocument:
    """Where the group stands: how many members have ended, and how."""
    found = await services_of(request).group_reader.read(job_id)
    return GroupDocument.model_validate(found.to_json())


@router.get("/{jobId:uuid}/members", dependencies=[VIEWER], **described(GROUP_LIST))
async def members(
    request: Request, job_id: JobId, query: Annotated[MembersFilter, Query()]
) -> MemberPage:
    """The members by their places, or those that ended so."""
    services = services_of(request)
    async with services.list_turn:
        found = await services.group_reader.members(
            job_id, state=query.state, cursor=query.cursor, limit=query.limit
        )
        items = [one.to_json() for one in found.items]
        return MemberPage.model_validate({"items": items, "next": found.next})


@router.post("/{jobId:uuid}/cancel", dependencies=[OPERATOR], **described(GROUP_ACT))
async def cancel_group(request: Request, response: Response, job_id: JobId) -> ActionAnswer:
    """Cancel the group and its members, as an action of `/api/actions`."""
    return await _act(request, response, job_id, JobAction.CANCEL)


@router.post("/{jobId:uuid}/redrive", dependencies=[OPERATOR], **described(GROUP_ACT))
async def redrive_members(request: Request, response: Response, job_id: JobId) -> ActionAnswer:
    """Redrive the members that did not complete, as an action of `/api/actions`."""
    return await _act(request, response, job_id, JobAction.REDRIVE)


async def _act(
    request: Request, response: Response, group_id: str, action: JobAction
) -> ActionAnswer:
    reason = reason_of(await json_object(request, known=frozenset({"reason"})))
    services, by = services_of(request), asker(request)
    accepted = await accept(services, group_id, action, by=by, reason=reason)
    return accepted_answer(request, response, accepted)


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


def _parent(body: dict[str, Any], key: str | None) -> tuple[str, int] | None:
    """Return the group and the place that a group takes as a member."""
    parent = body.get("memberOf")
    if parent is None:
        return None
    if key is not None or body.get("groupId") is not None:
        message = "memberOf: makes the id; give neither groupId nor Idempotency-Key"
        raise InvalidRequest(message, field="memberOf")
    if not isinstance(parent, dict) or parent.keys() != {"groupId", "index"}:
        message = 'memberOf: must be {"groupId": …, "index": …}'
        raise InvalidRequest(message, field="memberOf")
    try:
        return str(UUID(parent["groupId"])), _number(parent, "index")
    except (ValueError, TypeError, AttributeError) as error:
        raise InvalidRequest("memberOf.groupId: must be a UUID", field="memberOf") from error


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
