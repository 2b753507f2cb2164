"""Which trace a job belongs to, as its worker says it."""

from __future__ import annotations

import re

from jobfleet_contracts.job import JobRequest

TRACE_ID = "{traceId}"
"""What stands in ``JOBFLEET_TRACE_URL`` for the id."""
_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-.*")


def trace_id_of(request: JobRequest) -> str:
    """Return the trace id of the submitter's ``traceparent``, else the job id without hyphens."""
    given = (request.context or {}).get("traceparent")
    found = _TRACEPARENT.fullmatch(given) if isinstance(given, str) else None
    return found[1] if found else request.job_id.replace("-", "")
