"""Credentials that a submitter wrote into a job: needed to run it, shown to nobody.

Better is ``${secret:NAME}``, which never reaches the job at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

HIDDEN = "***"
SENSITIVE_HEADERS = frozenset(
    {
        "api-key",
        "authorization",
        "cookie",
        "proxy-authorization",
        "set-cookie",
        "x-api-key",
        "x-auth-token",
    }
)
"""Lower-case names of headers that carry credentials."""
_REFERENCE = "${secret:"


def without_credentials(payload: Any) -> Any:
    """Return a payload as it may be shown: sensitive headers hidden, references left."""
    if not isinstance(payload, Mapping) or not isinstance(payload.get("headers"), Mapping):
        return payload
    headers = {name: _shown(name, value) for name, value in payload["headers"].items()}
    return {**payload, "headers": headers}


def request_without_credentials(data: dict[str, Any]) -> dict[str, Any]:
    """Return an event's data as they may be shown; only those of event 1 hold a request."""
    request = data.get("request")
    if not isinstance(request, Mapping) or "payload" not in request:
        return data
    return {**data, "request": {**request, "payload": without_credentials(request["payload"])}}


def _shown(name: str, value: Any) -> Any:
    if str(name).lower() not in SENSITIVE_HEADERS:
        return value
    return value if isinstance(value, str) and _REFERENCE in value else HIDDEN
