"""Who may see a job of an asynchronous endpoint, and which callers share idempotency keys."""

from __future__ import annotations

import inspect
import secrets
from collections.abc import Callable, Mapping
from hmac import compare_digest
from typing import Any

from fastapi import HTTPException, Request
from starlette.concurrency import run_in_threadpool

from jobfleet_contracts.codec import encode_text
from jobfleet_contracts.errors import InvalidRequest
from jobfleet_publisher.job_details import JobDetails

TOKEN_FIELD = "statusToken"  # noqa: S105 - a name
"""Field of the job's context; in the status address it is the query parameter ``token``."""
_MAX_KEY = 255

Authorize = Callable[[Request, JobDetails], Any]
"""Returns whether the caller may see the job, or raises ``HTTPException``; may be a coroutine."""
KeyScope = Callable[[Request], Any]
"""Returns a text that is one caller's own, as a user id; may be a coroutine."""


def requested_job(request: Request) -> JobDetails:
    """Return the job that the status route was asked for; a dependency for ``authorize=Depends``.

    Raises:
        HTTPException: 404, if there is no such job.
    """
    job: JobDetails | None = getattr(request.state, "requested_job", None)
    if job is None:
        raise HTTPException(404, "no such job")
    return job


def new_token() -> str:
    """Return a token that cannot be guessed."""
    return secrets.token_urlsafe(24)


def token_of(context: Mapping[str, Any] | None) -> str | None:
    """Return the token that a job was submitted with, ``None`` if there is none."""
    token = (context or {}).get(TOKEN_FIELD)
    return token if isinstance(token, str) and token else None


def is_token(stored: str | None, given: str) -> bool:
    """Whether a caller has sent the job's token; a job without one is never shown."""
    return stored is not None and compare_digest(stored.encode(), given.encode(errors="replace"))


async def idempotency_key(request: Request, job_type: str, scope: KeyScope | None) -> str | None:
    """Return the request's key, apart from those of other endpoints and other callers.

    Raises:
        InvalidRequest: the header does not fit, or the caller has no scope.
    """
    key = request.headers.get("idempotency-key")
    if key is None:
        return None
    if not (0 < len(key) <= _MAX_KEY and key.isprintable()):
        raise InvalidRequest(
            f"Idempotency-Key: must be 1 to {_MAX_KEY} printable characters",
            field="Idempotency-Key",
        )
    owner = None if scope is None else await called(scope, request)
    if scope is not None and not owner:
        raise InvalidRequest(
            "Idempotency-Key: not taken from a caller that is not known", field="Idempotency-Key"
        )
    parts = [None if owner is None else str(owner), job_type, request.method, request.url.path, key]
    return encode_text(parts)


async def called(function: Callable[..., Any], *values: Any, **named: Any) -> Any:
    """Return what a function returns; one that is not a coroutine runs in a thread."""
    if inspect.iscoroutinefunction(function):
        return await function(*values, **named)
    returned = await run_in_threadpool(function, *values, **named)
    return await returned if inspect.isawaitable(returned) else returned
