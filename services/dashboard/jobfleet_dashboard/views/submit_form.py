"""The form of a job request: its fields, and what a browser sent back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from jobfleet_contracts.codec import decode
from jobfleet_contracts.errors import InvalidRequest
from jobfleet_contracts.job import JobRequest
from jobfleet_dashboard.api.outbound_parts import check_outbound
from jobfleet_dashboard.views.json_text import json_text
from jobfleet_dashboard.views.known_names import KnownNames

Kind = Literal["line", "text", "number", "json"]


@dataclass(frozen=True, slots=True)
class FormField:
    """One field; ``suggestions`` are offered while typing."""

    name: str
    label: str
    kind: str
    hint: str
    value: str = ""
    required: bool = False
    wide: bool = False
    rows: int = 3
    suggestions: tuple[str, ...] = ()


_FIELDS: tuple[tuple[str, str, str, str], ...] = (
    ("type", "Type", "line", "Which handler runs it."),
    ("jobName", "Name", "line", "What people read; the type if empty."),
    ("description", "Description", "text", "Up to 2,000 characters."),
    ("payload", "Payload", "json", "Any JSON up to 1 MiB."),
    ("queue", "Queue", "line", "Default: default."),
    ("priority", "Priority", "number", "0 to 9, higher first; 5 if empty."),
    ("runAt", "Run at", "line", "Like 2026-01-31T09:30:00Z; now if empty."),
    ("lockKey", "Lock key", "line", "Jobs with the same key never run at the same time."),
    ("maxAttempts", "Attempts at most", "number", "The first run included, 1 to 100."),
    ("retryDelaySeconds", "Retry delay, s", "number", "Base of the back-off."),
    ("timeoutSeconds", "Time limit, s", "number", "Of one attempt."),
    ("callbackUrl", "Callback address", "line", "Receives the result, signed."),
    ("inputFilePath", "Input file", "line", "Carried to the handler as it is."),
    ("processingParameters", "Processing parameters", "json", "A JSON object for the handler."),
)
_KINDS = {name: kind for name, _, kind, _ in _FIELDS}
_WIDE = frozenset({"payload", "description", "processingParameters"})
_ROWS = {"payload": 8, "processingParameters": 4}


def form_fields(values: Mapping[str, str], known: KnownNames) -> tuple[FormField, ...]:
    """Return the fields with these values in them."""
    suggestions = {"type": known.types, "queue": known.queues}
    return tuple(
        FormField(
            name=name,
            label=label,
            kind=kind,
            hint=hint,
            value=values.get(name, ""),
            required=name == "type",
            wide=name in _WIDE,
            rows=_ROWS.get(name, 3),
            suggestions=suggestions.get(name, ()),
        )
        for name, label, kind, hint in _FIELDS
    )


def values_of(request: JobRequest) -> dict[str, str]:
    """Return what the form shows to submit a job again with changes."""
    said = request.to_json()
    return {name: _shown(said[name], kind) for name, kind in _KINDS.items() if name in said}


def request_from(values: Mapping[str, str]) -> JobRequest:
    """Return the job request that the form stands for.

    Raises:
        InvalidRequest: names the field.
    """
    body: dict[str, Any] = {"jobId": values["jobId"]} if values.get("jobId") else {}
    for name, kind in _KINDS.items():
        text = values.get(name, "").strip()
        if text:
            body[name] = _read(name, text, kind)
    job = JobRequest.parse(body)
    check_outbound(body)
    return job


def _shown(value: Any, kind: str) -> str:
    if value is None:
        return ""
    return json_text("", orjson.loads(orjson.dumps(value))).text if kind == "json" else str(value)


def _read(name: str, text: str, kind: str) -> Any:
    try:
        if kind == "json":
            return decode(text)
        if kind == "number":
            return int(text) if text.lstrip("+-").isdecimal() else float(text)
    except InvalidRequest as error:
        raise InvalidRequest(f"{name}: {error}", field=name) from error
    except ValueError as error:
        raise InvalidRequest(f"{name}: {text!r} is no number", field=name) from error
    return text.replace("\r\n", "\n")
