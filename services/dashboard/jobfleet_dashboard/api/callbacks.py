"""Takes third parties' results. No key is needed: the signature is the credential."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256

from fastapi import APIRouter, Request

from jobfleet_contracts.errors import InvalidRequest
from jobfleet_contracts.json_check import MAX_PAYLOAD_BYTES
from jobfleet_dashboard.api.descriptions import CALLBACK
from jobfleet_dashboard.api.documents import CallbackAnswer
from jobfleet_dashboard.api.request_parts import JobId, check_values
from jobfleet_dashboard.api.route_description import described
from jobfleet_dashboard.problems import too_large
from jobfleet_dashboard.services import services_of
from jobfleet_protocol.actions.callbacks import Callbacks

_MAX_DIGITS = 9

router = APIRouter(tags=["callbacks"])


@router.post("/api/callbacks/jobs/{jobId:uuid}", **described(CALLBACK))
async def receive(request: Request, job_id: JobId) -> CallbackAnswer:
    """End a job that waits for a third party's result; the same body again changes nothing."""
    services = services_of(request)
    callbacks = services.callbacks
    signed = await _signed_body(request, callbacks)
    incarnation = _incarnation(request)
    callbacks.check_address(job_id, incarnation, request.query_params.get("token"))
    body = signed.body
    if body is None:
        reason = f"its body has {signed.size:,} bytes, at most {MAX_PAYLOAD_BYTES:,} are taken"
        if not callbacks.has_targets:  # with targets it is unknown whose secret it is
            await callbacks.note_refusal(job_id, incarnation, signed.digest, reason)
        raise too_large(MAX_PAYLOAD_BYTES)
    await callbacks.check_sender(job_id, body, request.headers)
    try:
        await check_values(body)
        received = await callbacks.receive(job_id, incarnation, body)
    except InvalidRequest as error:
        await callbacks.note_refusal(job_id, incarnation, signed.digest, str(error))
        raise
    if not received.repeated:
        services.metrics.job_ended(received.state)
    return CallbackAnswer(job_id=received.job_id, state=received.state)


@dataclass(frozen=True, slots=True)
class _Signed:
    """A body whose signature is right; ``body`` is ``None`` if it is too large to be taken."""

    body: bytes | None
    size: int
    digest: str


async def _signed_body(request: Request, callbacks: Callbacks) -> _Signed:
    """Read the body, keep at most 1 MiB of it, and check its signature before anything else.

    Raises:
        BadSignature: whatever else is wrong, its size included.
    """
    streamed = callbacks.streamed_signature(request.headers)
    digest, kept, size = sha256(), bytearray(), 0
    async for piece in request.stream():
        size += len(piece)
        digest.update(piece)
        streamed.update(piece)
        if size <= MAX_PAYLOAD_BYTES:
            kept += piece
        else:
            kept.clear()
    if size <= MAX_PAYLOAD_BYTES:
        callbacks.check_signature(bytes(kept), request.headers)
        return _Signed(bytes(kept), size, digest.hexdigest())
    if not streamed.is_valid():
        callbacks.refuse_unsigned()
    return _Signed(None, size, digest.hexdigest())


def _incarnation(request: Request) -> int:
    given = request.query_params.get("incarnation", "1")
    if not (given.isascii() and given.isdecimal() and 0 < len(given) <= _MAX_DIGITS and int(given)):
        raise InvalidRequest("incarnation: must be a whole number from 1", field="incarnation")
    return int(given)
