"""Answers that several routes give, and those that are encoded by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import Request
from starlette.responses import Response

from jobfleet_contracts.codec import encode
from jobfleet_contracts.state import State
from jobfleet_dashboard.api.documents import JobAnswer
from jobfleet_dashboard.root_path import public


def by_hand(shown: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Response:
    """Return JSON that is encoded without the route's response model, for long answers.

    The route names the model that has the same fields.
    """
    return Response(encode(shown), headers=headers, media_type="application/json")


def follow_at(response: Response, address: str) -> None:
    """Say in the headers where what was begun is followed."""
    response.headers["Location"] = address
    response.headers["Retry-After"] = "1"


def job_answer(
    request: Request,
    response: Response,
    job_id: str,
    state: State,
    message: str,
    *,
    warning: str | None = None,
) -> JobAnswer:
    """Return the answer about a job that was accepted, or on which something was started."""
    address = f"/api/jobs/{job_id}"
    follow_at(response, address)
    return JobAnswer(
        job_id=job_id,
        state=state,
        status=state,
        status_url=public(request, address),
        message=message,
        warning=warning,
    )
