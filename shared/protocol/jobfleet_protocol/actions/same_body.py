"""Whether a request is the one that made its job: the same id with another body is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobfleet_contracts.encoded_value import is_encoded, key_in, label
from jobfleet_contracts.errors import BodyConflict
from jobfleet_contracts.event import Event
from jobfleet_protocol.trail.erased_values import holds_no_request

if TYPE_CHECKING:
    from jobfleet_contracts.job import JobRequest


def check_same_body(request: JobRequest, first: Event) -> None:
    """Refuse a request that is not the one which made the job.

    Args:
        first: event 1 of the job, with its data.

    Raises:
        BodyConflict: they differ.
    """
    digest = first.data.get("digest")
    if not request.is_same_as(digest) and not (holds_no_request(first) and digest is None):
        raise _conflict(request, first)


def _conflict(request: JobRequest, first: Event) -> BodyConflict:
    known = first.facts.job_type
    if known != request.type:
        return BodyConflict(
            f"job {request.job_id} was submitted before with type {known}, now with "
            f"{request.type}. Ids and idempotency keys are unique in the whole fleet: begin a "
            "key with its purpose, as in invoice/2026-11"
        )
    stored = first.data.get("request", {}).get("payload")
    if is_encoded(stored) and not is_encoded(request.payload):
        return BodyConflict(
            f"job {request.job_id} was submitted before, {label(key_in(stored))}. This process has "
            "no codec to compare the bodies with: set JOBFLEET_PAYLOAD_CODEC"
        )
    return BodyConflict(f"job {request.job_id} was submitted before with another body")
