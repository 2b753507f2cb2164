"""Checks of single fields of a request; each returns the value, or raises ``ValueError``."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from jobfleet_contracts.codec import decode, parse_time
from jobfleet_contracts.errors import InvalidRequest
from jobfleet_contracts.internal_job import INTERNAL_TYPES

_TEXT_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_CANONICAL_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_LINE_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_FIRST_YEAR = 1601
"""Azure's tables refuse earlier times, and a fleet on another backend may be moved there."""
_LAST_YEAR = 9000
"""What is computed from a time, as the next runs of a schedule, must not pass the year 9999."""


def checked_time(value: Any) -> datetime:
    """Return a time with zone, in UTC, of a year that can be stored."""
    if isinstance(value, str):
        moment = parse_time(value)
    elif isinstance(value, datetime) and value.tzinfo is not None:
        moment = value.astimezone(UTC)
    else:
        raise ValueError("must be a time with zone, as 2026-01-31T09:30:00Z")
    if moment.year < _FIRST_YEAR:
        raise ValueError(f"must not lie before the year {_FIRST_YEAR}")
    if moment.year > _LAST_YEAR:
        raise ValueError(f"must not lie after the year {_LAST_YEAR}")
    return moment


def is_canonical_uuid(text: str) -> bool:
    """Whether a text is a UUID in its canonical form: 36 characters, small letters."""
    return _CANONICAL_UUID.fullmatch(text) is not None


def json_object(text: str, column: str) -> dict[str, Any]:
    """Return the object of a stored JSON text; ``column`` is named in the error."""
    try:
        found = decode(text)
    except InvalidRequest as error:
        raise ValueError(f"{column}: {error}") from error
    if not isinstance(found, dict):
        raise ValueError(f"{column} is not a JSON object")
    return found


def canonical_uuid(value: str) -> str:
    """Return a UUID in its canonical form."""
    try:
        return value if is_canonical_uuid(value) else str(UUID(value))
    except ValueError:
        raise ValueError("must be a UUID; leave it out to have one made") from None


def one_line(value: str) -> str:
    """Refuse control characters and line breaks."""
    if _LINE_CONTROL.search(value):
        raise ValueError("must not hold control characters or line breaks")
    return value


def plain_text(value: str) -> str:
    """Refuse control characters other than line breaks and tabs."""
    if _TEXT_CONTROL.search(value):
        raise ValueError("must not hold control characters")
    return value


def web_address(value: str) -> str:
    """Refuse what is not an http or https address."""
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be an http or https address")
    return value


def users_type(name: str) -> str:
    """Refuse the types of jobs that jobfleet makes itself."""
    if name in INTERNAL_TYPES:
        raise ValueError(f"{name} jobs are made by jobfleet alone")
    return name


def each_once(names: list[str]) -> list[str]:
    """Refuse a name that stands twice."""
    if len(set(names)) < len(names):
        raise ValueError("must name each limit once")
    return names
