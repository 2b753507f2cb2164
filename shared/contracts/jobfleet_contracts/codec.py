"""JSON and times as every wire, row and log line of jobfleet holds them."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import orjson

from jobfleet_contracts.errors import InvalidRequest


def encode(value: Any) -> bytes:
    """Return compact UTF-8 JSON.

    Raises:
        InvalidRequest: the value holds something that JSON cannot (sets, NaN is checked at the
            edges, lone surrogates, integers beyond 64 bits, cycles).
    """
    try:
        return orjson.dumps(value)
    except TypeError as error:
        raise InvalidRequest(f"not JSON: {error}") from error


def encodable(text: str) -> str:
    """Return the text with each lone surrogate, which no encoding can hold, replaced by ``?``."""
    return text.encode(errors="replace").decode()


def encode_text(value: Any) -> str:
    """Like :func:`encode`, as text."""
    return encode(value).decode()


def decode(body: bytes | str) -> Any:
    """Return the value of a JSON text.

    Raises:
        InvalidRequest: the text is not JSON or not UTF-8.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidRequest(f"not valid JSON: {error}") from error


@lru_cache(maxsize=4096)
def format_time(moment: datetime) -> str:
    """Return RFC 3339 in UTC with ``Z`` and exactly six decimals.

    Cached, since each time of a job is written into several rows.
    """
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def format_optional_time(moment: datetime | None) -> str | None:
    """Like :func:`format_time`, ``None`` for ``None``."""
    return None if moment is None else format_time(moment)


def parse_time(text: str) -> datetime:
    """Return an aware UTC time from RFC 3339.

    Raises:
        ValueError: the text is no time, or names no offset.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text[:50]!r} is no time; write it as 2026-01-31T09:30:00Z") from None
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone; write it with Z, as 2026-01-31T09:30:00Z")
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f"{text!r} lies outside of the years 1 to 9999 in UTC") from error


def parse_optional_time(text: str | None) -> datetime | None:
    """Like :func:`parse_time`, ``None`` for ``None``."""
    return None if text is None else parse_time(text)
