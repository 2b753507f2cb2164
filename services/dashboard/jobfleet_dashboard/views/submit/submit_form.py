"""The form of a job request: its fields, and what a browser sent back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from jobfleet_contracts.codec import decode
from jobfleet_contracts.credentials import HIDDEN
from jobfleet_contracts.encoded_value import is_label
from jobfleet_contracts.errors import InvalidRequest
from jobfleet_contracts.job import JobRequest
from jobfleet_dashboard.api.outbound_parts import check_outbound
from jobfleet_dashboard.views.json_text import json_text
from jobfleet_dashboard.views.known_names import KnownNames

FILL = "fill"
_MOST_DIGITS = 9
"""Hidden field: where a credential of the job was hidden, as a JSON list of paths."""


CONFIRMED = "confirmedType"
"""Hidden field: a type that no live worker handles, and that is submitted all the same."""


@dataclass(frozen=True, slots=True)
class FormField:
    """One field.

    Attributes:
        suggestions: are offered while typing.
        hidden: places in it that were left empty because the job holds a credential there.
    """

    name: str
    label: str
    kind: str
    hint: str
    value: str = ""
    required: bool = False
    wide: bool = False
    rows: int = 3
    suggestions: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()


_FIELDS: tuple[tuple[str, str, str, str], ...] = (
    ("type", "Type", "line", "Which handler runs it."),
    ("jobName", "Name", "line", "What people read; the type if empty."),
    ("description", "Description", "text", "Up to 2,000 characters."),
    ("payload", "Payload", "json", "Any JSON up to 1 MiB."),
    ("queue", "Queue", "line", "Default: default."),
    ("priority", "Priority", "number", "0 to 9, higher first; 5 if empty."),
    ("runAt", "Run at", "line", "Like 2026-01-31T09:30:00Z; now if empty."),
    ("lockKey", "Lock key", "line", "jobfleet starts one job of a key at a time."),
    ("lockSlots", "Lock slots", "number", "So many jobs of the key at once, 1 to 100; 1 if empty."),
    ("limits", "Limits", "json", 'Named limits as JSON, up to three: ["api-stripe"].'),
    ("maxAttempts", "Attempts at most", "number", "The first run included, 1 to 100."),
    ("onLost", "If its worker is lost", "line", "retry or fail; as the handler says if empty."),
    ("maxTakeovers", "Lost workers at most", "number", "That it survives in a row; 5 if empty."),
    ("retryDelaySeconds", "Retry delay, s", "number", "Base of the back-off."),
    ("timeoutSeconds", "Time limit, s", "number", "Of one attempt."),
    ("then", "Then", "json", 'Jobs that follow it, as JSON: [{"type": "report"}].'),
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
    hidden = _paths(values)
    return tuple(
        FormField(
            name=name,
            label=label,
            kind=kind,
            hint=hint,
            value=values.get(name, ""),
            required=name == "type" or [name] in hidden,
            wide=name in _WIDE,
            rows=_ROWS.get(name, 3),
            suggestions=suggestions.get(name, ()),
            hidden=tuple(".".join(path) for path in hidden if path[0] == name),
        )
        for name, label, kind, hint in _FIELDS
    )


def values_of(request: JobRequest) -> dict[str, str]:
    """Return what the form shows to submit a job again with changes.

    What is hidden in the job is left empty; ``FILL`` names each such place.
    """
    paths: list[list[str]] = []
    fields = _emptied(request.to_json(), [], paths)
    values = {name: _shown(fields[name], kind) for name, kind in _KINDS.items() if name in fields}
    known = [path for path in paths if path[0] in _KINDS]
    return values | ({FILL: orjson.dumps(known).decode()} if known else {})


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
    _check_filled(body, _paths(values))
    job = JobRequest.parse(body)
    check_outbound(body)
    return job


def _emptied(value: Any, path: list[str], paths: list[list[str]]) -> Any:
    """Return the value with empty texts where something is hidden, and note their paths."""
    match value:
        case str() if HIDDEN in value or is_label(value):
            paths.append(path)
            return ""
        case Mapping():
            return {name: _emptied(item, [*path, name], paths) for name, item in value.items()}
        case list() | tuple():
            return [_emptied(item, [*path, str(n)], paths) for n, item in enumerate(value)]
        case _:
            return value


def _check_filled(body: Mapping[str, Any], paths: list[list[str]]) -> None:
    """Refuse the form while a place is empty; one that was taken out of its JSON does not count."""
    for path in paths:
        name = ".".join(path)
        value = _at(body, path)
        if value is None and len(path) > 1:
            continue
        if not value or (isinstance(value, str) and (HIDDEN in value or is_label(value))):
            raise InvalidRequest(
                f"{name}: the job that this form is filled from hides a value here; "
                "fill it in" + (" or take it out" if len(path) > 1 else ""),
                field=name,
            )


def _at(value: Any, path: list[str]) -> Any:
    for name in path:
        if isinstance(value, Mapping):
            value = value.get(name)
        elif isinstance(value, list) and _is_place(name, value):
            value = value[int(name)]
        else:
            return None
    return value


def _is_place(name: str, value: list[Any]) -> bool:
    """Whether a form names an item of a list; Python refuses to read a number without end."""
    return name.isdecimal() and len(name) <= _MOST_DIGITS and int(name) < len(value)


def _paths(values: Mapping[str, str]) -> list[list[str]]:
    try:
        paths = orjson.loads(values.get(FILL) or "[]")
    except orjson.JSONDecodeError:
        return []
    if not isinstance(paths, list):
        return []
    return [[str(name) for name in path] for path in paths if isinstance(path, list) and path]


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
        raise InvalidRequest(f"{name}: {text!r} is not a number", field=name) from error
    return text.replace("\r\n", "\n")
