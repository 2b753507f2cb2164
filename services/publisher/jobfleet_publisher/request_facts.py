"""What a handler may know of the HTTP request that made its job: ``context.request``."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import Any

from starlette.requests import Request

from jobfleet_contracts.job import new_id

CREDENTIALS = frozenset(
    {
        "api-key",
        "authorization",
        "cookie",
        "proxy-authorization",
        "x-amz-security-token",
        "x-api-key",
        "x-auth-token",
        "x-csrf-token",
        "x-forwarded-client-cert",
        "x-xsrf-token",
    }
)
"""Left out unless asked for by name: the job's context stands in the trail for good."""

_CARRIED_APART = frozenset({"traceparent", "tracestate", "x-request-id"})
_OF_THE_CONNECTION = frozenset(
    {"connection", "content-length", "expect", "keep-alive", "te", "transfer-encoding", "upgrade"}
)
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,100}")


def request_facts(request: Request, *, keep_headers: Collection[str] = ()) -> dict[str, Any]:
    """Return method, path, headers, route and query parameters, trace and request id as JSON.

    Header names are lower case; what came more than once is a list.

    Args:
        keep_headers: names that are kept although they usually carry credentials.
    """
    left_out = CREDENTIALS - {name.lower() for name in keep_headers}
    left_out |= _CARRIED_APART | _OF_THE_CONNECTION
    given = request.headers.get("x-request-id", "")
    facts: dict[str, Any] = {
        "method": request.method,
        "path": request.url.path,
        "headers": _joined(pair for pair in request.headers.items() if pair[0] not in left_out),
        "routeParams": {name: str(value) for name, value in request.path_params.items()},
        "queryParams": _joined(request.query_params.multi_items()),
        "requestId": given if _REQUEST_ID.fullmatch(given) else new_id(),
    }
    trace = {k: v for k in ("traceparent", "tracestate") if (v := request.headers.get(k))}
    return facts | trace


def _joined(pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return {name: values if len(values) > 1 else values[0] for name, values in found.items()}
