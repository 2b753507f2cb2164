"""What JSON values of jobs may hold, so that every wire, row and page can carry them."""

from __future__ import annotations

import math
import re
from typing import Any

from jobfleet_contracts.codec import encode
from jobfleet_contracts.errors import InvalidRequest

MAX_PAYLOAD_BYTES = 1024 * 1024
MAX_NESTING = 100
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def check_json(value: Any, *, field: str, limit: int | None = MAX_PAYLOAD_BYTES) -> bytes:
    """Return a value as JSON that every part can carry, in at most ``limit`` bytes.

    Raises:
        InvalidRequest: over 1 MiB, nested deeper than 100, NaN or infinite, or no JSON at all.
    """
    _walk(value, field, 0)
    encoded = encode_field(value, field)
    size = len(encoded)
    if limit is not None and size > limit:
        raise InvalidRequest(
            f"{field} has {size:,} bytes as JSON; at most {limit:,} are allowed. "
            "Store it elsewhere and pass its address",
            field=field,
        )
    return encoded


def check_characters(value: Any, *, field: str) -> None:
    """Check that texts of a JSON value, at any depth, are text: pages, shells and logs show them.

    Raises:
        InvalidRequest: a control character other than a tab or a line break.
    """
    if isinstance(value, dict):
        for name, item in value.items():
            check_characters(name, field=field)
            check_characters(item, field=field)
    elif isinstance(value, list | tuple):
        for item in value:
            check_characters(item, field=field)
    elif isinstance(value, str) and _CONTROL.search(value):
        raise InvalidRequest(
            f"{field} holds a control character; send binary data as base64", field=field
        )


def encode_field(value: Any, field: str) -> bytes:
    """Encode a field, naming it where JSON cannot hold it."""
    try:
        return encode(value)
    except InvalidRequest as error:
        raise InvalidRequest(f"{field} is {error}", field=field) from error


def _walk(value: Any, field: str, depth: int) -> None:
    if depth > MAX_NESTING:
        raise InvalidRequest(f"{field} is nested deeper than {MAX_NESTING} levels", field=field)
    if isinstance(value, float) and not math.isfinite(value):
        raise InvalidRequest(f"{field} holds {value}, which JSON cannot hold", field=field)
    if isinstance(value, dict):
        for item in value.values():
            _walk(item, field, depth + 1)
    elif isinstance(value, list | tuple):
        for item in value:
            _walk(item, field, depth + 1)
