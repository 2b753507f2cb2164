"""The final result that a callback delivers: read from the trail, never from a request.

A signature under it says "jobfleet ran this job and this came of it". So nothing that a submitter
chose may be signed but what is in the trail of a job that ran.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from jobfleet_contracts.codec import encode, format_time
from jobfleet_contracts.credentials import masked_text
from jobfleet_contracts.errors import ActionRefused, DataMissing
from jobfleet_contracts.event import Event
from jobfleet_contracts.internal_job import internal_job_id
from jobfleet_contracts.ports import AuditTrail, PayloadStore
from jobfleet_contracts.state import Status
from jobfleet_contracts.value_coder import NO_CODER, ValueCoder
from jobfleet_protocol.actions.submission import request_of
from jobfleet_protocol.reading.masking_turns import in_turns
from jobfleet_protocol.trail.erased_values import holds_no_request, is_withdrawn
from jobfleet_protocol.trail.large_data import resolve
from jobfleet_protocol.trail.tombstone import is_tombstone

_PAGE = 1000
_AFTER_END = (Status.DISMISSED, Status.ERASED)
"""They follow the event that ended an incarnation, and keep its state."""


@dataclass(frozen=True, slots=True)
class FinalResult:
    """Where to post what; ``body`` is the same at every attempt."""

    url: str
    body: bytes


def callback_job_id(job_id: str, incarnation: int) -> str:
    """Return the id of the job that delivers this incarnation's final result."""
    return internal_job_id("callback", job_id, str(incarnation))


def delivery_payload(job_id: str, incarnation: int) -> dict[str, Any]:
    """Return the payload of the job that delivers this incarnation's final result."""
    return {"jobId": job_id, "incarnation": incarnation}


async def final_result_of(
    job_id: str,
    incarnation: int,
    *,
    trail: AuditTrail,
    payloads: PayloadStore,
    coder: ValueCoder = NO_CODER,
) -> FinalResult:
    """Return the address and the body of an incarnation's callback, decoded: for its receiver.

    The credentials in an error are hidden, since a receiver may see less than a viewer. The result
    stays as it is.

    Raises:
        CodecError: the result or the error cannot be decoded here.
        ActionRefused: there is nothing to deliver: the history was removed, the incarnation has
            not ended, or the job asked for no callback.
        BackendUnavailable: the trail does not answer.
    """
    opening = await trail.read(job_id, 1)
    if opening is None:
        raise ActionRefused(f"no job {job_id}")
    if holds_no_request(opening):
        raise ActionRefused(f"the history of job {job_id} was removed, and its result with it")
    newest = await trail.newest(job_id)
    if newest is not None and is_withdrawn(newest):
        raise ActionRefused(f"job {job_id}: {newest.message}, and its result with it")
    ending = await ending_of(job_id, incarnation, trail=trail)
    if ending is None:
        raise ActionRefused(f"incarnation {incarnation} of job {job_id} has no end in its trail")
    try:
        request = request_of(await resolve(opening, payloads))
        ended = await _ended_fields(await resolve(ending, payloads), request.name, coder)
    except DataMissing as error:
        raise ActionRefused(f"the result of job {job_id} was removed: {error}") from error
    if request.callback_url is None:
        raise ActionRefused(f"job {job_id} asked for no callback")
    return FinalResult(request.callback_url, encode(ended))


async def ending_of(job_id: str, incarnation: int, *, trail: AuditTrail) -> Event | None:
    """Return the event that ended an incarnation, ``None`` if none did, or it was removed."""
    head = await trail.newest(job_id)
    before = 1 if head is None else head.sequence + 1
    while before > 1:
        page = await trail.history(job_id, before=before, limit=_PAGE)
        for event in reversed(page):
            if event.after.incarnation < incarnation:
                return None
            same = event.after.incarnation == incarnation and not is_tombstone(event)
            if same and event.after.state.is_terminal and event.kind not in _AFTER_END:
                return event
        before = page[0].sequence if page else 1
    return None


async def _ended_fields(ending: Event, name: str, coder: ValueCoder) -> dict[str, Any]:
    completed = ending.kind is Status.COMPLETED
    return {
        "jobId": ending.job_id,
        "jobName": name,
        "type": ending.facts.job_type,
        "state": ending.after.state.value,
        "incarnation": ending.after.incarnation,
        "attempt": ending.after.attempt,
        "completedAt": format_time(ending.occurred_at),
        "result": coder.clear_value(ending.data.get("result")) if completed else None,
        "error": None if completed else await _error_of(ending, coder),
    }


async def _error_of(ending: Event, coder: ValueCoder) -> dict[str, Any]:
    """Return type and message: a traceback shows a third party how our side is built."""
    error = ending.data.get("error", {"message": ending.message})
    names = [name for name in ("type", "message") if name in error]
    texts = [coder.clear_text(f"{error[name]}") for name in names]
    return dict(zip(names, await in_turns(masked_text, texts), strict=True))
