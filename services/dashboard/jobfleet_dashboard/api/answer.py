"""JSON answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import Request
from pydantic import BaseModel
from starlette.responses import Response

from jobfleet_contracts.codec import encode
from jobfleet_contracts.state import State
from jobfleet_dashboard.api.documents import JobAnswer
from jobfleet_dashboard.root_path import public


def answer(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return a model, or a value encoded by hand, as ``application/json``."""
    if isinstance(value, BaseModel):
        body = value.model_dump_json(by_alias=True, exclude_unset=True).encode()
    else:
        body = encode(value)
    return Response(body, status_code=status, headers=headers, media_type="application/json")


def job_answer(
    request: Request, job_id: str, state: State, message: str, *, warning: str | None = None
) -> Response:
    """Return 202 for a job that was accepted, or on which something was started."""
    address = f"/api/jobs/{job_id}"
    document = JobAnswer(
        job_id=job_id,
        state=state,
        status=state,
        status_url=public(request, address),
        message=message,
        warning=warning,
    )
    return answer(document, 202, {"Location": address, "Retry-After": "1"})
