"""What the start of a job needs beside its lock, and how often it may run.

By its handler, its request and the limits that are set.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from hashlib import sha256
from typing import Any

from jobfleet_contracts.errors import CodecError
from jobfleet_contracts.event import MAX_TAKEOVERS
from jobfleet_contracts.internal_job import is_internal_id
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.lease import key_lock, key_locks, limit_lock, limit_prefix, slots_prefix
from jobfleet_contracts.message import JobDefaults
from jobfleet_contracts.outcome import JobError
from jobfleet_contracts.value_coder import NO_CODER, ValueCoder
from jobfleet_protocol.actions.successors import ResultMissing
from jobfleet_protocol.claiming.lock_slots import LIMIT, LOCK, LockSlotDemand
from jobfleet_protocol.claiming.rate_limiter import RateDemand
from jobfleet_protocol.claiming.start_terms import NO_TERMS, ReadLimits, StartTerms
from jobfleet_protocol.control.limit_state import Limit
from jobfleet_worker.handlers.declared_keys import KeyRefused, read_key
from jobfleet_worker.handlers.described_error import describe_error
from jobfleet_worker.handlers.registry import Handler, Handlers
from jobfleet_worker.handlers.user_thread import in_user_thread
from jobfleet_worker.handlers.verdicts import Fail

FillResults = Callable[[JobRequest], Awaitable[JobRequest]]


class HandlerTerms:
    """Says the terms of jobs whose handlers a worker has.

    Args:
        limits: the named limits; waits while they are not known.
        fill: returns a request with the results of the job before it in its payload.
    """

    def __init__(
        self,
        *,
        handlers: Handlers,
        limits: ReadLimits,
        fill: FillResults,
        coder: ValueCoder = NO_CODER,
    ) -> None:
        self._coder = coder
        self._handlers = handlers
        self._limits = limits
        self._fill = fill

    async def of(self, request: JobRequest) -> StartTerms:
        """Return the terms of a job.

        What its handler declares holds for every job of the type, whichever program submitted it.
        """
        handler = self._handlers.get(request.type)
        if handler is None and not request.limits:
            return NO_TERMS
        declared = NO_TERMS if handler is None else await self._declared(handler, request)
        names = sorted({*request.limits, *(handler.limits if handler is not None else ())})
        if not names or declared.problem is not None:
            return declared
        limits = await self._limits()
        demands = [each for name in names if (each := _slot_demand(name, limits)) is not None]
        rates = [demand for name in names if (demand := _rate(name, limits)) is not None]
        return StartTerms(
            slot_demands=(*demands, *declared.slot_demands),
            limits=tuple(limits[name] for name in names if name in limits),
            rates=(*rates, *declared.rates),
        )

    def attempts(self, request: JobRequest, defaults: JobDefaults) -> int:
        """Return how many attempts the job has: by its request, its handler or the defaults."""
        found = self._handlers.get(request.type)
        declared = found.max_attempts if found is not None else None
        return request.max_attempts or declared or defaults.max_attempts

    def takeovers(self, request: JobRequest) -> int:
        """Return how many lost workers in a row a job survives, by its request or its handler."""
        found = self._handlers.get(request.type)
        on_lost = request.on_lost or (found.on_lost if found is not None else None)
        if on_lost == "fail":
            return 0
        declared = found.max_takeovers if found is not None else None
        limits = (request.max_takeovers, declared, MAX_TAKEOVERS)
        return next(each for each in limits if each is not None)

    async def _declared(self, handler: Handler, request: JobRequest) -> StartTerms:
        """Return the handler's own terms; its keys may depend on what the job before hands on."""
        if handler.lock_key or handler.rate_key:
            try:
                request = self._coder.clear_request(request)
                if request.results:
                    request = await self._fill(request)
            except (CodecError, ResultMissing) as error:  # never without its lock: no start at all
                return StartTerms(problem=JobError(type(error).__name__, str(error)))
        return await _declared(handler, request)


def _slot_demand(name: str, limits: Mapping[str, Limit]) -> LockSlotDemand | None:
    """Return the demand for a lock slot; under a limit that is not set, nothing may start."""
    limit = limits.get(name)
    if limit is not None and (limit.removed or (limit.slots is None and not limit.is_unreadable)):
        return None
    closed = ""
    if limit is None:
        closed = f"limit {name} is not set; do: jobfleet limits set {name} --slots N"
    elif limit.slots is None:
        closed = f"limit {name} lets nothing start: {limit.text}"
    locks = () if limit is None or limit.slots is None else range(1, limit.slots + 1)
    return LockSlotDemand(
        reason=LIMIT,
        name=name,
        locks=tuple(limit_lock(name, slot) for slot in locks),
        prefix=limit_prefix(name),
        closed=closed,
    )


def _rate(name: str, limits: Mapping[str, Limit]) -> RateDemand | None:
    limit = limits.get(name)
    if limit is None or limit.removed or limit.rate is None:
        return None
    return RateDemand(f"limit/{name}", f"limit {name}", limit.rate)


async def _declared(handler: Handler, request: JobRequest) -> StartTerms:
    """Return the terms that the handler declares: its rate, and its lock key."""
    # A tick may have a lock key that its schedule made, which says nothing of the handler's.
    of_schedule = is_internal_id(request.job_id) and request.follows is None
    named = request.lock_key is not None and not of_schedule
    wants_lock = handler.lock_key is not None and not named
    if handler.rate_key is None and not wants_lock:
        return NO_TERMS if handler.rate is None else StartTerms(rates=(_demand(handler, None),))
    if handler.reads_with_code:  # a slow validator must not hold the loop
        return await in_user_thread(_keyed, handler, request, wants_lock, name="start-terms")
    return _keyed(handler, request, wants_lock)


def _keyed(handler: Handler, request: JobRequest, wants_lock: bool) -> StartTerms:
    place = f"of @handler({handler.job_type!r})"
    try:
        payload: Any = handler.read_payload(request.payload)
    except Fail:  # it does not fit: the attempt fails before the handler is called
        return NO_TERMS
    try:
        rate_key = read_key("rate_key", handler.rate_key, payload)
        lock_key = read_key("lock_key", handler.lock_key, payload) if wants_lock else None
    except KeyRefused as refused:
        error = describe_error(refused.__cause__ or refused)
        message = f"{refused.name} {place} {refused}"
        return StartTerms(problem=JobError(error.type, message, error.traceback))
    lock = None if lock_key is None or lock_key == request.lock_key else lock_key
    return StartTerms(
        slot_demands=() if lock is None else (_lock_demand(lock, handler.lock_slots),),
        rates=() if handler.rate is None else (_demand(handler, rate_key),),
    )


def _lock_demand(lock_key: str, slots: int) -> LockSlotDemand:
    """Return the demand for the locks that a job with this lock key rests on."""
    return LockSlotDemand(
        reason=LOCK,
        name=lock_key,
        locks=key_locks(lock_key, slots),
        prefix=key_lock(lock_key) if slots == 1 else slots_prefix(lock_key, slots),
    )


def _demand(handler: Handler, key: str | None) -> RateDemand:
    """All types that the handler runs count together."""
    assert handler.rate is not None
    row = f"type/{handler.job_type}"
    if key is None:
        return RateDemand(row, handler.job_type, handler.rate)
    hashed = sha256(key.encode(errors="replace")).hexdigest()[:40]
    return RateDemand(f"{row}/{hashed}", f"{handler.job_type} of {key}", handler.rate)
