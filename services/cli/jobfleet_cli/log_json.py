"""One log entry as one line of JSON."""

from __future__ import annotations

import json
from typing import Any

import orjson
from structlog.typing import EventDict


def json_line(_logger: Any, _name: str, entry: EventDict) -> str:
    """Return ``{"timestamp", "level", "event", …}``; what JSON cannot hold as its ``str``.

    It never raises: an entry that cannot be rendered must not end what logged it.
    """
    first = {key: entry[key] for key in ("timestamp", "level", "event") if key in entry}
    whole = {**first, **entry}
    try:
        return orjson.dumps(whole, default=text_of, option=orjson.OPT_NON_STR_KEYS).decode()
    except (TypeError, ValueError):  # lone surrogates, numbers over 64 bits
        return json.dumps({str(key): text_of(value) for key, value in whole.items()})


def text_of(value: Any) -> str:
    """Return the value's text, whatever its ``__str__`` does."""
    try:
        return str(value)
    except Exception as error:  # noqa: BLE001 - code of users
        return f"<{type(value).__name__} without text: {type(error).__name__}>"
