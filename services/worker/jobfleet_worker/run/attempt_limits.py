"""How many attempts a job has, and how many lost workers it survives: by request and handler."""

from __future__ import annotations

from jobfleet_contracts.event import MAX_TAKEOVERS
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.message import JobDefaults
from jobfleet_worker.handlers.registry import Handlers


class AttemptLimits:
    """Says the limits of jobs whose handlers a worker has."""

    def __init__(self, *, handlers: Handlers) -> None:
        self._handlers = handlers

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
