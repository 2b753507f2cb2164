"""Queue messages as rows: the job request as any client may write it, hints beside it."""

from __future__ import annotations

from typing import Any

from jobfleet_contracts.codec import (
    decode,
    encode,
    encode_text,
    format_optional_time,
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
from jobfleet_contracts.message_hints import count_of, hash_of, moment_of


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
    except InvalidRequest as error:
        return MalformedMessage(whole, str(error))
    except Exception as error:  # noqa: BLE001 - no foreign message may stop the consumer
        return MalformedMessage(whole, f"cannot be read: {type(error).__name__}: {error}")


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
        sequence=count_of(hints, "sequence"),
        published_at=moment_of(hints, "publishedAt"),
        due_at=moment_of(hints, "dueAt"),
        deferrals=count_of(hints, "deferrals") or 0,
        opening_hash=hash_of(hints, "openingHash"),
        incarnation=count_of(hints, "incarnation") or 1,
        lost_workers=count_of(hints, "lostWorkers") or 0,
    )
    return message.without_proof() if unknown else message
