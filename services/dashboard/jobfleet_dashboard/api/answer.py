"""JSON answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from jobfleet_contracts.codec import encode


def answer(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return a value as ``application/json``."""
    return Response(
        encode(value), status_code=status, headers=headers, media_type="application/json"
    )


def job_answer(job_id: str, state: str, message: str) -> Response:
    """Return 202 for a job that was accepted, or on which something was started."""
    address = f"/api/jobs/{job_id}"
    document = {
        "jobId": job_id,
        "state": state,
        "status": state,
        "statusUrl": address,
        "message": message,
    }
    return answer(document, 202, {"Location": address, "Retry-After": "1"})
