"""Queue messages as rows: the job request as any client may write it, hints beside it."""

from __future__ import annotations

from typing import Any

from jobfleet_contracts.codec import (
    decode,
    encode,
    encode_text,
    format_optional_time,
    parse_optional_time,
    refuse_repeated_names,
)
from jobfleet_contracts.errors import InvalidRequest
from jobfleet_contracts.internal_job import is_internal
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.json_size import check_foreign_size
from jobfleet_contracts.message import (
    DELIVERY_LIMIT,
    JobDefaults,
    JobMessage,
    MalformedMessage,
)


def encode_message(message: JobMessage) -> tuple[bytes, str]:
    """Return body and hints of a message."""
    hints = {
        "defaults": message.defaults.to_json() if message.defaults else None,
        "sequence": message.sequence,
        "publishedAt": format_optional_time(message.published_at),
        "dueAt": format_optional_time(message.due_at),
        "deferrals": message.deferrals,
        "openingHash": message.opening_hash,
        "incarnation": message.incarnation,
        "lostWorkers": message.lost_workers,
    }
    return encode(message.request.to_json()), encode_text(hints)


def decode_message(
    body: bytes | str, hints: str | None, unanswered: int = 0
) -> JobMessage | MalformedMessage:
    """Return the message, or the whole body with the reason why it is none.

    Args:
        unanswered: deliveries before this one that ended with the loss of their worker.
    """
    whole = body.encode() if isinstance(body, str) else body
    if unanswered >= DELIVERY_LIMIT:
        return MalformedMessage.unanswered(whole)
    try:
        return _message(whole, decode(hints) if hints else {})
    except (InvalidRequest, ValueError, TypeError, KeyError, AttributeError) as error:
        return MalformedMessage(whole, str(error) or type(error).__name__)


def _message(body: bytes, hints: dict[str, Any]) -> JobMessage:
    # What may write hints may write the trail too. A message without them is a foreign one.
    is_own = "openingHash" in hints
    if not is_own:
        check_foreign_size(body)
    fields = decode(body)
    if not isinstance(fields, dict):
        raise InvalidRequest("the job request must be a JSON object", field="body")
    if not is_own:
        refuse_repeated_names(body)
    request, unknown = JobRequest.parse_known(fields, is_own=is_own)
    if fields.get("jobId") is None:
        raise InvalidRequest("jobId: missing; a redelivery would be another job", field="jobId")
    defaults = hints.get("defaults")
    message = JobMessage(
        request=request,
        unknown_fields=unknown,
        body=body if unknown or is_internal(request) else b"",
        defaults=JobDefaults.from_json(defaults) if defaults else None,
        sequence=hints.get("sequence"),
        published_at=parse_optional_time(hints.get("publishedAt")),
        due_at=parse_optional_time(hints.get("dueAt")),
        deferrals=hints.get("deferrals", 0),
        opening_hash=hints.get("openingHash"),
        incarnation=hints.get("incarnation", 1),
        lost_workers=hints.get("lostWorkers", 0),
    )
    return message.without_proof() if unknown else message
