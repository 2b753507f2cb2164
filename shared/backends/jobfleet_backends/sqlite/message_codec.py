"""Queue messages as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from jobfleet_contracts.codec import decode, encode, format_optional_time, parse_optional_time
from jobfleet_contracts.errors import InvalidRequest
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.message import JobDefaults, JobMessage, MalformedMessage


def encode_message(message: JobMessage) -> bytes:
    """Return the stored form of a message."""
    return encode(
        {
            "request": message.request.to_json(),
            "defaults": asdict(message.defaults) if message.defaults else None,
            "sequence": message.sequence,
            "publishedAt": format_optional_time(message.published_at),
            "dueAt": format_optional_time(message.due_at),
            "deferrals": message.deferrals,
        }
    )


def decode_message(body: bytes) -> JobMessage | MalformedMessage:
    """Return the message, or the whole body with the reason why it is none."""
    try:
        return _message(decode(body))
    except (InvalidRequest, ValueError, TypeError, KeyError, AttributeError) as error:
        return MalformedMessage(body, f"not a job message: {error}")


def _message(value: Any) -> JobMessage:
    defaults = value.get("defaults")
    return JobMessage(
        request=JobRequest.parse(value["request"]),
        defaults=JobDefaults(**defaults) if defaults else None,
        sequence=value.get("sequence"),
        published_at=parse_optional_time(value.get("publishedAt")),
        due_at=parse_optional_time(value.get("dueAt")),
        deferrals=value.get("deferrals", 0),
    )
