"""JSON and times as every wire, row and log line of jobfleet holds them."""

from __future__ import annotations

import json
import re
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import orjson

from jobfleet_contracts.errors import InvalidRequest

_MANY_DIGITS = re.compile(r"[0-9]{19}")
_LEAST, _MOST = -(2**63), 2**64 - 1


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
    """Return the text as every backend can store it.

    A lone surrogate, which no encoding can hold, becomes ``?``. A NUL, which PostgreSQL refuses,
    becomes U+FFFD.
    """
    return text.encode(errors="replace").decode().replace("\0", "\ufffd")


def encode_text(value: Any) -> str:
    """Like :func:`encode`, as text."""
    return encode(value).decode()


def decode(body: bytes | str) -> Any:
    """Return the value of a JSON text.

    Raises:
        InvalidRequest: the text is not JSON or not UTF-8, or holds an integer beyond 64 bits;
            then ``field`` names where.
    """
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidRequest(f"not valid JSON: {error}") from error
    # The library makes a float of an integer beyond 64 bits, so another number would be stored.
    if _MANY_DIGITS.search(body if isinstance(body, str) else body.decode()):
        _refuse_large_integers(_with_exact_integers(body), "")
    return value


def refuse_repeated_names(body: bytes | str) -> None:
    """Check that no name stands twice in an object of a JSON text that :func:`decode` has read.

    Another program, as a proxy that checks bodies, may take the other one of the two values.

    Raises:
        InvalidRequest: names the one that occurs twice.
    """
    with suppress(ValueError, RecursionError):  # the decoder has judged it
        json.loads(body, object_pairs_hook=_once_each)


def names_once(text: str) -> bool:
    """Whether no name stands twice in an object of a JSON text: parsing it drops nothing."""
    try:
        json.loads(text, object_pairs_hook=_once_each, parse_int=str, parse_float=str)
    except (ValueError, RecursionError, InvalidRequest):  # too deep to say
        return False
    return True


def _once_each(pairs: list[tuple[str, Any]]) -> None:
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        twice = Counter(names).most_common(1)[0][0][:100]
        raise InvalidRequest(f"{twice} occurs twice in one object; send it once", field=twice)


def _with_exact_integers(body: bytes | str) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:  # thousands of digits, or of levels
        raise InvalidRequest(f"not valid JSON: {error}") from error


def _refuse_large_integers(value: Any, place: str) -> None:
    if isinstance(value, dict):
        for name, item in value.items():
            _refuse_large_integers(item, f"{place}.{name}" if place else name)
    elif isinstance(value, list):
        for number, item in enumerate(value):
            _refuse_large_integers(item, f"{place}.{number}" if place else str(number))
    elif isinstance(value, int) and not _LEAST <= value <= _MOST:
        raise InvalidRequest(
            f"{place[:200] or 'body'} holds {str(value)[:40]}, an integer beyond 64 bits; "
            "send it as a string",
            field=place[:200] or "body",
        )


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
        ValueError: the text is not a time, or names no offset.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text[:50]!r} is not a time; write it as 2026-01-31T09:30:00Z") from None
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone; write it with Z, as 2026-01-31T09:30:00Z")
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f"{text!r} lies outside of the years 1 to 9999 in UTC") from error


def parse_optional_time(text: str | None) -> datetime | None:
    """Like :func:`parse_time`, ``None`` for ``None``."""
    return None if text is None else parse_time(text)
