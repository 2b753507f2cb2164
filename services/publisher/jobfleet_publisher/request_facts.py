"""What a handler may know of the HTTP request that made its job: ``context.request``."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import Any

from starlette.requests import Request

from jobfleet_contracts.job_id import new_id

KEPT_HEADERS = frozenset(
    {"accept", "accept-language", "content-language", "content-type", "user-agent"}
)
"""Headers that reach the handler unasked. An allow list: the trail keeps the context for good, and
no list can hold all names under which proxies and clients send credentials."""

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,100}")


def request_facts(
    request: Request,
    *,
    keep_headers: Collection[str] = (),
    keep_query: Collection[str] = (),
) -> dict[str, Any]:
    """Return method, path, headers, route and query parameters, trace and request id as JSON.

    Header names are lower case; what came more than once is a list.

    Args:
        keep_headers: names of headers that are kept beside ``KEPT_HEADERS``.
        keep_query: names of the query parameters that are kept.
    """
    headers = KEPT_HEADERS | {name.lower() for name in keep_headers}
    given = request.headers.get("x-request-id", "")
    facts: dict[str, Any] = {
        "method": request.method,
        "path": request.url.path,
        "headers": _joined(pair for pair in request.headers.items() if pair[0] in headers),
        "routeParams": {name: str(value) for name, value in request.path_params.items()},
        "queryParams": _joined(
            pair for pair in request.query_params.multi_items() if pair[0] in keep_query
        ),
        "requestId": given if _REQUEST_ID.fullmatch(given) else new_id(),
    }
    trace = {k: v for k in ("traceparent", "tracestate") if (v := request.headers.get(k))}
    return facts | trace


def _joined(pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return {name: values if len(values) > 1 else values[0] for name, values in found.items()}
