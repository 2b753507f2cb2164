"""A job message as AMQP carries it: the request as JSON body, hints in headers.

Any program that may publish can write any header. So a message of the fleet's own carries a code
over body and hints (HMAC-SHA256). A message without a right code is read as a foreign publisher's.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Any

from aio_pika.abc import AbstractMessage, HeadersType

from jobfleet_backends.rabbitmq.aio_pika_patches import UNREADABLE
from jobfleet_backends.rabbitmq.outgoing import Outgoing
from jobfleet_contracts.codec import (
    decode,
    encodable,
    encode,
    encode_text,
    format_time,
    refuse_repeated_names,
)
from jobfleet_contracts.cut_text import cut_text
from jobfleet_contracts.errors import InvalidRequest
from jobfleet_contracts.internal_job import is_internal
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.job_id import new_id
from jobfleet_contracts.json_size import check_foreign_size
from jobfleet_contracts.message import (
    DELIVERY_LIMIT,
    JobDefaults,
    JobMessage,
    MalformedMessage,
)
from jobfleet_contracts.message_hints import count_of, hash_of, is_sha256, moment_of

SEQUENCE = "jobfleet-sequence"
PUBLISHED_AT = "jobfleet-published-at"
DUE_AT = "jobfleet-due-at"
DEFERRALS = "jobfleet-deferrals"
DEFAULTS = "jobfleet-defaults"
OPENING_HASH = "jobfleet-opening-hash"
CODE = "jobfleet-code"
TRACEPARENT = "traceparent"

MAX_REASON_CHARACTERS = 1_000
_HINTS = (SEQUENCE, PUBLISHED_AT, DUE_AT, DEFERRALS, DEFAULTS, OPENING_HASH)
_TRACEPARENT_CHARACTERS = 55
_UNANSWERED = "x-delivery-count"
"""Deliveries of a quorum queue's message that ended without an answer; lost connections count."""
_BROKERS_OWN = ("x-", "CC", "BCC")
"""Headers with a meaning to the broker; sent again they would change where the message goes."""


def encode_message(message: JobMessage, *, key: bytes | None) -> Outgoing:
    """Return the message as it is published; without a key it will be read as a foreign one."""
    headers: HeadersType = {DEFERRALS: message.deferrals}
    if message.sequence is not None:
        headers[SEQUENCE] = message.sequence
    for name, moment in ((PUBLISHED_AT, message.published_at), (DUE_AT, message.due_at)):
        if moment is not None:
            headers[name] = format_time(moment)
    if message.opening_hash is not None:
        headers[OPENING_HASH] = message.opening_hash
    if message.defaults is not None:
        headers[DEFAULTS] = encode_text(message.defaults.to_json())
    trace = (message.request.context or {}).get(TRACEPARENT)
    if isinstance(trace, str) and len(trace) == _TRACEPARENT_CHARACTERS:
        headers[TRACEPARENT] = trace
    body = encode(message.request.to_json())
    if key is not None:
        headers[CODE] = _code(key, body, headers)
    return Outgoing(
        body=body,
        headers=headers,
        message_id=message.request.job_id,
    )


def decode_message(
    received: AbstractMessage, *, key: bytes | None
) -> JobMessage | MalformedMessage:
    """Return the message; this raises nothing, whatever the bytes are.

    Without a right code it holds no defaults, opening hash or time, whatever its headers say: the
    worker then reads event 1 and runs that request.
    """
    try:
        if (count_of(received.headers, _UNANSWERED) or 0) >= DELIVERY_LIMIT:
            return MalformedMessage.unanswered(received.body, received.message_id)
        is_ours = key is not None and _is_ours(key, received.body, received.headers)
        message = _decode(received.body, received.headers, received.message_id, is_ours=is_ours)
        return message if is_ours else message.without_proof()
    except InvalidRequest as error:
        reason = str(error)
    except Exception as error:  # noqa: BLE001 - no foreign message may stop the consumer
        reason = f"cannot be read: {type(error).__name__}: {error}"
    reason = cut_text(encodable(reason), MAX_REASON_CHARACTERS)
    return MalformedMessage(received.body, reason, received.message_id)


def again(received: AbstractMessage) -> Outgoing:
    """Return a delivery as it came, to be published once more."""
    headers = {
        name: value for name, value in received.headers.items() if not name.startswith(_BROKERS_OWN)
    }
    return Outgoing(
        body=received.body,
        headers=headers,
        content_type=received.content_type,
        message_id=received.message_id or new_id(),
    )


def _decode(
    body: bytes, headers: Mapping[str, Any], message_id: str | None, *, is_ours: bool
) -> JobMessage:
    if UNREADABLE in headers:
        raise InvalidRequest(f"the message's properties cannot be read: {headers[UNREADABLE]}")
    if not is_ours:
        check_foreign_size(body)
    fields = decode(body)
    if not is_ours:
        refuse_repeated_names(body)
    if not isinstance(fields, dict):
        raise InvalidRequest("the job request must be a JSON object", field="body")
    if fields.get("jobId") is None:
        if not message_id:
            raise InvalidRequest(
                "neither jobId in the body nor message_id in the properties", field="jobId"
            )
        fields["jobId"] = message_id
    _adopt_trace(fields, headers)
    request, unknown = JobRequest.parse_known(fields, is_own=is_ours)
    message = JobMessage(
        request=request,
        unknown_fields=unknown,
        body=body if unknown or is_internal(request) else b"",
        defaults=_defaults(headers),
        sequence=count_of(headers, SEQUENCE),
        published_at=moment_of(headers, PUBLISHED_AT),
        due_at=moment_of(headers, DUE_AT),
        deferrals=count_of(headers, DEFERRALS) or 0,
        opening_hash=hash_of(headers, OPENING_HASH),
    )
    return message.without_proof() if unknown else message


def _is_ours(key: bytes, body: bytes, headers: Mapping[str, Any]) -> bool:
    given = headers.get(CODE)
    return is_sha256(given) and hmac.compare_digest(str(given), _code(key, body, headers))


def _code(key: bytes, body: bytes, headers: Mapping[str, Any]) -> str:
    hints = encode([headers.get(name) for name in _HINTS])
    return hmac.digest(key, len(hints).to_bytes(4) + hints + body, "sha256").hex()


def _adopt_trace(fields: dict[str, Any], headers: Mapping[str, Any]) -> None:
    """A foreign client's trace travels in the header alone."""
    trace = headers.get(TRACEPARENT)
    if isinstance(trace, str) and "context" not in fields:
        fields["context"] = {TRACEPARENT: trace[:_TRACEPARENT_CHARACTERS]}


def _defaults(headers: Mapping[str, Any]) -> JobDefaults | None:
    value = headers.get(DEFAULTS)
    if value is None:
        return None
    try:
        return JobDefaults.from_json(decode(value))
    except (InvalidRequest, KeyError, TypeError, ValueError) as error:
        raise InvalidRequest(f"header {DEFAULTS}: {error!r}", field=DEFAULTS) from error
