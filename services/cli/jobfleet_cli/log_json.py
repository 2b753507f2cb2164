"""One log entry as one line of JSON."""

from __future__ import annotations

from typing import Any

import orjson
from structlog.typing import EventDict


def json_line(_logger: Any, _name: str, entry: EventDict) -> str:
    """Return ``{"timestamp", "level", "event", …}``; what JSON cannot hold as its ``str``."""
    first = {key: entry[key] for key in ("timestamp", "level", "event") if key in entry}
    return orjson.dumps({**first, **entry}, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
