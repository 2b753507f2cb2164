"""A body without ``type`` but with ``targetUrl``: the short form of an HTTP job."""

from __future__ import annotations

from typing import Any

from jobfleet_contracts.errors import InvalidRequest
from jobfleet_dashboard.api.outbound_parts import HTTP_JOB, check_headers, check_target

_TO_PAYLOAD = ("targetUrl", "method", "headers", "payload", "body", "expectStatus")
_METHODS = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")
_MAX_RETRIES = 99
_MAX_DELAY_MS = 86_400_000


def expand(body: dict[str, Any]) -> dict[str, Any]:
    """Return the job request that a short form stands for; other bodies as they are.

    ``maxRetries`` counts retries, so attempts less one; ``retryDelay`` is in milliseconds.

    Raises:
        InvalidRequest: names the field of the short form that does not fit.
    """
    if "type" in body or "targetUrl" not in body:
        return body
    rest = dict(body)
    payload = {name: rest.pop(name) for name in _TO_PAYLOAD if name in rest}
    _check_call(payload)
    if "maxRetries" in rest:
        retries = _whole(rest.pop("maxRetries"), "maxRetries", _MAX_RETRIES)
        rest["maxAttempts"] = retries + 1
    if "retryDelay" in rest:
        delay = _whole(rest.pop("retryDelay"), "retryDelay", _MAX_DELAY_MS)
        rest["retryDelaySeconds"] = delay / 1000
    return rest | {"type": HTTP_JOB, "payload": payload}


def _check_call(payload: dict[str, Any]) -> None:
    check_target(payload["targetUrl"], "targetUrl")
    if payload.get("method", "GET") not in _METHODS:
        raise InvalidRequest(f"method: must be one of {', '.join(_METHODS)}", field="method")
    check_headers(payload.get("headers", {}), "headers")


def _whole(value: Any, field: str, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        raise InvalidRequest(f"{field}: must be a whole number from 0 to {most}", field=field)
    return value
