"""What an outbound call tells the other side of the job that makes it."""

from __future__ import annotations

import re
import secrets
from uuid import UUID

from jobfleet_worker.context import JobContext

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


def passed_on(context: JobContext) -> dict[str, str]:
    """Return the headers that let the target recognise repeats and refuse stale holders.

    ``Idempotency-Key`` is the same for all attempts of an incarnation; ``X-Fencing-Token`` rises
    with each claim; ``traceparent`` is that of the request that made the job, else the job's own.
    """
    return {
        "Idempotency-Key": context.idempotency_key,
        "X-Fencing-Token": str(context.epoch),
        "traceparent": traceparent(context),
    }


def traceparent(context: JobContext) -> str:
    """Return the W3C trace context in which the job runs."""
    given = context.request.get("traceparent")
    if isinstance(given, str) and _TRACEPARENT.fullmatch(given):
        return given
    return f"00-{UUID(context.job.job_id).hex}-{secrets.token_hex(8)}-01"
