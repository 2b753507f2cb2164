"""Cancel, redrive and dismiss one job, some, or all that a filter finds; erase one."""

from __future__ import annotations

import asyncio
from uuid import UUID

from fastapi import APIRouter, Request
from starlette.responses import Response

from jobfleet_contracts.errors import InvalidRequest, JobfleetError
from jobfleet_contracts.event import NAMELESS
from jobfleet_contracts.state import State
from jobfleet_dashboard.api.action_selection import Selection, reason_of
from jobfleet_dashboard.api.answer import follow_at, job_answer
from jobfleet_dashboard.api.descriptions import ACT, ACT_ON_MANY, CANCEL, ERASE
from jobfleet_dashboard.api.documents import (
    ActionAnswer,
    ActionItem,
    JobAnswer,
    ProblemDocument,
)
from jobfleet_dashboard.api.request_parts import JobId, json_object
from jobfleet_dashboard.api.route_description import described
from jobfleet_dashboard.problems import problem_document, problem_of
from jobfleet_dashboard.root_path import public
from jobfleet_dashboard.security.access import asker, require
from jobfleet_dashboard.security.principal import Role
from jobfleet_dashboard.services import Services, services_of
from jobfleet_protocol.actions.bulk_action import BulkAction
from jobfleet_protocol.actions.erasure import NOT_REACHED
from jobfleet_protocol.reading.job_actions import JobAction

_AT_ONCE = 16
_REASON = frozenset({"reason"})

router = APIRouter(dependencies=[require(Role.OPERATOR)], tags=["actions"])


@router.post("/api/jobs/{jobId:uuid}/cancel", **described(CANCEL))
async def cancel(request: Request, response: Response, job_id: JobId) -> JobAnswer:
    """Cancel a job: at once if no worker runs it, else its worker is asked to stop."""
    reason = reason_of(await json_object(request, known=_REASON))
    state = await act(services_of(request), JobAction.CANCEL, job_id, asker(request), reason)
    done = "cancelled" if state is State.CANCELLED else "cancel requested"
    return job_answer(request, response, job_id, state, done)


@router.post("/api/jobs/{jobId:uuid}/redrive", **described(ACT))
async def redrive(request: Request, response: Response, job_id: JobId) -> JobAnswer:
    """Put a failed, timed-out or cancelled job back into its queue, as a new incarnation."""
    await json_object(request, known=frozenset())
    state = await act(services_of(request), JobAction.REDRIVE, job_id, asker(request))
    return job_answer(request, response, job_id, state, "redriven")


@router.post("/api/jobs/{jobId:uuid}/dismiss", **described(ACT))
async def dismiss(request: Request, response: Response, job_id: JobId) -> JobAnswer:
    """Take a failed or timed-out job off the dead-letter list."""
    await json_object(request, known=frozenset())
    state = await act(services_of(request), JobAction.DISMISS, job_id, asker(request))
    return job_answer(request, response, job_id, state, "dismissed")


@router.post("/api/jobs/{jobId:uuid}/erase", **described(ERASE))
async def erase(request: Request, response: Response, job_id: JobId) -> JobAnswer:
    """Erase the values of an ended job and of jobs made from it, in an hour; events stay."""
    reason = reason_of(await json_object(request, known=_REASON))
    eraser = services_of(request).writes.eraser
    state = await eraser.erase(job_id, by=asker(request), reason=reason)
    return job_answer(
        request, response, job_id, state, f"erased in an hour, but for: {'; '.join(NOT_REACHED)}"
    )


@router.post("/api/jobs/actions", **described(ACT_ON_MANY))
async def act_on_many(request: Request, response: Response) -> ActionAnswer:
    """Cancel, redrive or dismiss the jobs with these ids, or all that a filter finds."""
    services = services_of(request)
    selection = Selection.parse(await json_object(request))
    job_ids = await selection.find(services.backend.reader)
    by = asker(request)
    if selection.query is not None or _asks_to_respond_async(request):
        accepted = await services.bulk.accept(
            selection.action,
            job_ids,
            by=by or NAMELESS,
            reason=selection.reason,
            scope=selection.scope,
        )
        services.bulk_runner.accepted.set()
        return accepted_answer(request, response, accepted)
    limit = asyncio.Semaphore(_AT_ONCE)

    async def one(job_id: str) -> ActionItem:
        async with limit:
            return await _try(services, selection.action, job_id, by, selection.reason)

    return ActionAnswer(items=await asyncio.gather(*map(one, job_ids)))


def accepted_answer(request: Request, response: Response, accepted: BulkAction) -> ActionAnswer:
    """Return the address where an action on many jobs is followed."""
    address = f"/api/actions/{accepted.action_id}"
    follow_at(response, address)
    return ActionAnswer(items=[], action_id=accepted.action_id, status_url=public(request, address))


async def act(
    services: Services, action: JobAction, job_id: str, by: str | None, reason: str = ""
) -> State:
    """Do one thing to one job; pages use it too.

    Raises:
        UnknownJob: no trail.
        ActionRefused: the state does not allow it.
    """
    match action:
        case JobAction.CANCEL:
            return await services.writes.canceller.cancel(job_id, by=by, reason=reason)
        case JobAction.REDRIVE:
            return await services.writes.redriver.redrive(job_id, by=by, reason=reason)
        case JobAction.DISMISS:
            return await services.writes.redriver.dismiss(job_id, by=by, reason=reason)


def _asks_to_respond_async(request: Request) -> bool:
    """Whether ``Prefer: respond-async`` (RFC 7240) is among the preferences."""
    wishes = ",".join(request.headers.getlist("prefer")).split(",")
    return any(wish.partition(";")[0].strip().lower() == "respond-async" for wish in wishes)


async def _try(
    services: Services, action: JobAction, job_id: str, by: str | None, reason: str
) -> ActionItem:
    try:
        known = str(UUID(job_id))
        state = await act(services, action, known, by, reason)
    except ValueError:
        error = InvalidRequest(f"ids: {job_id[:100]!r} is not a job id", field="ids")
        return ActionItem(jobId=job_id, error=_problem(error))
    except JobfleetError as error:
        return ActionItem(jobId=job_id, error=_problem(error))
    return ActionItem(jobId=known, state=state)


def _problem(error: JobfleetError) -> ProblemDocument:
    return ProblemDocument(**problem_document(problem_of(error)))
