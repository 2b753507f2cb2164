"""Takes third parties' results. No key is needed: the signature is the credential."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from jobfleet_contracts.errors import InvalidRequest
from jobfleet_dashboard.api.answer import answer
from jobfleet_dashboard.api.descriptions import CALLBACK, described
from jobfleet_dashboard.api.documents import CallbackAnswer
from jobfleet_dashboard.api.request_parts import JobId, check_values
from jobfleet_dashboard.services import services_of

_MAX_DIGITS = 9

router = APIRouter(tags=["callbacks"])


@router.post("/api/callbacks/jobs/{jobId:uuid}", **described(CALLBACK))
async def receive(request: Request, job_id: JobId) -> Response:
    """End a job that waits for a third party's result; the same body again changes nothing."""
    body = await request.body()
    services = services_of(request)
    callbacks = services.callbacks
    callbacks.check_signature(body, request.headers)
    incarnation = _incarnation(request)
    callbacks.check_address(job_id, incarnation, request.query_params.get("token"))
    try:
        await check_values(body)
        received = await callbacks.receive(job_id, incarnation, body)
    except InvalidRequest as error:
        await callbacks.note_refusal(job_id, incarnation, body, str(error))
        raise
    if not received.repeated:
        services.metrics.job_ended(received.state)
    return answer(CallbackAnswer(job_id=received.job_id, state=received.state))


def _incarnation(request: Request) -> int:
    said = request.query_params.get("incarnation", "1")
    if not (said.isascii() and said.isdecimal() and 0 < len(said) <= _MAX_DIGITS and int(said)):
        raise InvalidRequest("incarnation: must be a whole number from 1", field="incarnation")
    return int(said)
