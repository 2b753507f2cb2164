"""What the start of a job needs beside its lock, by what its handler declares."""

from __future__ import annotations

import asyncio
from hashlib import sha256
from typing import Any

from jobfleet_contracts.job import MAX_LOCK_KEY, JobRequest
from jobfleet_contracts.outcome import JobError
from jobfleet_protocol.claiming.rate_slots import RateDemand
from jobfleet_protocol.claiming.start_terms import NO_TERMS, StartTerms
from jobfleet_worker.handlers.described_error import describe_error
from jobfleet_worker.handlers.registry import Handler, Handlers
from jobfleet_worker.handlers.verdicts import Fail


class HandlerTerms:
    """Says the terms of jobs whose handlers a worker has."""

    def __init__(self, *, handlers: Handlers) -> None:
        self._handlers = handlers

    async def of(self, request: JobRequest) -> StartTerms:
        """Return the terms of a job."""
        handler = self._handlers.get(request.type)
        if handler is None or handler.rate is None:
            return NO_TERMS
        if handler.rate_key is None:
            return StartTerms(rates=(_demand(handler, None),))
        if handler.reads_with_code:  # a slow validator must not hold the loop
            return await asyncio.to_thread(_keyed, handler, request)
        return _keyed(handler, request)


def _keyed(handler: Handler, request: JobRequest) -> StartTerms:
    assert handler.rate_key is not None
    try:
        key: Any = handler.rate_key(handler.read_payload(request.payload))
    except Fail:  # the payload does not fit: the attempt fails before the handler is called
        return NO_TERMS
    except Exception as error:  # noqa: BLE001 - whatever code of the user's raises
        told = describe_error(error)
        message = f"rate_key of @handler({handler.job_type!r}) raised {told.type}: {told.message}"
        return StartTerms(problem=JobError(told.type, message, told.traceback))
    if not isinstance(key, str) or not 1 <= len(key) <= MAX_LOCK_KEY:
        message = (
            f"rate_key of @handler({handler.job_type!r}) returned a {type(key).__name__}; "
            f"it must return text of 1 to {MAX_LOCK_KEY} characters"
        )
        return StartTerms(problem=JobError("RateKeyRefused", message))
    return StartTerms(rates=(_demand(handler, key),))


def _demand(handler: Handler, key: str | None) -> RateDemand:
    """All types that the handler runs count together."""
    assert handler.rate is not None
    row = f"type/{handler.job_type}"
    if key is None:
        return RateDemand(row, handler.job_type, handler.rate)
    hashed = sha256(key.encode(errors="replace")).hexdigest()[:40]
    return RateDemand(f"{row}/{hashed}", f"{handler.job_type} of {key}", handler.rate)
