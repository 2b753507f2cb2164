"""What a header of an HTTP request may be made of, by whomever it is set."""

from __future__ import annotations

import re

MAX_HEADERS = 100
MAX_VALUE = 8_000

_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_BAD_VALUE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]|[^\x00-\xff]")


def is_header_name(name: str) -> bool:
    """Whether a name is a token of RFC 9110, of up to 100 characters."""
    return _NAME.fullmatch(name) is not None


def value_problem(value: str) -> str | None:
    """Return why a value cannot be sent, ``None`` if it can; never the value."""
    if _BAD_VALUE.search(value):
        return "its value holds a line break, a control character or one beyond Latin-1"
    if len(value) > MAX_VALUE:
        return f"its value is over {MAX_VALUE:,} characters"
    return None
