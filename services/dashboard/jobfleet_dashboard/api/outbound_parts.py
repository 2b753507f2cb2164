"""Parts of the built-in HTTP jobs that are checked when they come in, not only when they run."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from jobfleet_contracts.errors import InvalidRequest
from jobfleet_contracts.header_text import MAX_HEADERS, is_header_name, value_problem

HTTP_JOB = "http.request"
OUTBOUND = frozenset({HTTP_JOB, "external.call"})

_WEB_ADDRESS = re.compile(r"https?://[^/\x00-\x20\x7f][^\x00-\x20\x7f]*", re.IGNORECASE)


def check_outbound(job: Mapping[str, Any], *, place: str = "") -> None:
    """Check the payloads of a job and of its successors that call a server; other jobs pass.

    Args:
        job: the wire form of a request that was checked before.
        place: a successor's place in its request.

    Raises:
        InvalidRequest: names ``payload.targetUrl``, ``payload.headers`` or one of them.
    """
    payload = job.get("payload")
    if job.get("type") in OUTBOUND and isinstance(payload, Mapping):
        # What the job before hands on is not known yet; the worker checks it when it calls.
        results = job.get("results") or {}
        if "targetUrl" not in results:
            check_target(payload.get("targetUrl"), f"{place}payload.targetUrl")
        check_headers(payload.get("headers", {}), f"{place}payload.headers")
    for number, step in enumerate(job.get("then") or ()):
        check_outbound(step, place=f"{place}then.{number}.")


def check_target(url: Any, field: str) -> None:
    """Check that this may be an address; whether it may be called is the worker's to say."""
    if not isinstance(url, str) or not _WEB_ADDRESS.fullmatch(url):
        raise InvalidRequest(f"{field}: must be an http or https address", field=field)


def check_headers(headers: Any, field: str) -> None:
    """Check that these are headers; which of them a job may set is the worker's to say."""
    if not isinstance(headers, Mapping) or len(headers) > MAX_HEADERS:
        raise InvalidRequest(
            f"{field}: must be an object of up to {MAX_HEADERS} headers", field=field
        )
    for name, value in headers.items():
        if not is_header_name(name):
            raise InvalidRequest(f"{field}: {name[:100]!r} is not a header name", field=field)
        problem = value_problem(value) if isinstance(value, str) else "its value must be a text"
        if problem is not None:
            raise InvalidRequest(f"{field}.{name}: {problem}", field=f"{field}.{name}")
