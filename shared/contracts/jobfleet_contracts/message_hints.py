"""What stands beside a job request on its way: checked, since other programs may write it too."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from jobfleet_contracts.codec import parse_time
from jobfleet_contracts.errors import InvalidRequest

_SHA256 = re.compile("[0-9a-f]{64}")
_MOST = 2**31 - 1


def count_of(hints: Mapping[str, Any], name: str) -> int | None:
    """Return a whole number from 0, ``None`` if there is none.

    Raises:
        InvalidRequest: it is something else; the error names it.
    """
    value = hints.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _MOST:
        raise InvalidRequest(f"{name}: must be a whole number from 0 to {_MOST}", field=name)
    return value


def hash_of(hints: Mapping[str, Any], name: str) -> str | None:
    """Return a SHA-256 as text, ``None`` if there is none; errors as in :func:`count_of`."""
    value = hints.get(name)
    if value is not None and not is_sha256(value):
        raise InvalidRequest(f"{name}: must be 64 hexadecimal digits", field=name)
    return value


def moment_of(hints: Mapping[str, Any], name: str) -> datetime | None:
    """Return a time, ``None`` if there is none; errors as in :func:`count_of`."""
    value = hints.get(name)
    try:
        return None if value is None else parse_time(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidRequest(f"{name}: {error}", field=name) from error


def is_sha256(value: object) -> bool:
    """Whether a value is 64 small hexadecimal digits."""
    return isinstance(value, str) and _SHA256.fullmatch(value) is not None
