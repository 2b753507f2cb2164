"""The library that programs submit jobs with."""

from __future__ import annotations

import logging
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import structlog

from jobfleet_contracts.backend import Backend
from jobfleet_contracts.errors import InvalidRequest, JobfleetError, UnknownJob
from jobfleet_contracts.message import JobDefaults
from jobfleet_contracts.ports import Clock
from jobfleet_protocol.actions.submission import Submitted, request_of
from jobfleet_protocol.actions.write_side import WriteSide
from jobfleet_protocol.trail.large_data import resolve
from jobfleet_publisher.job_details import JobDetails
from jobfleet_publisher.plain_payload import plain_payload
from jobfleet_publisher.submitted_job import SubmittedJob
from jobfleet_publisher.trace_context import traced

if TYPE_CHECKING:
    from jobfleet_contracts.job import JobRequest
    from jobfleet_publisher.metrics import PublisherMetrics


class Publisher:
    """Submits jobs to a fleet. Safe to share between tasks of one event loop."""

    def __init__(
        self,
        *,
        backend: Backend,
        clock: Clock,
        defaults: JobDefaults,
        metrics: PublisherMetrics | None = None,
    ) -> None:
        """Use an open backend; whoever opened it calls :meth:`settle`, then closes it.

        Args:
            defaults: applied where a job does not say.
            metrics: counts for Prometheus; see :mod:`jobfleet_publisher.metrics`.
        """
        self._trail = backend.trail
        self._payloads = backend.payloads
        self._clock = clock
        self._metrics = metrics
        if metrics is not None:
            metrics.watch(backend.requests)
        self._writes = WriteSide.wire(backend=backend, clock=clock, defaults=defaults)

    @classmethod
    @asynccontextmanager
    async def from_env(
        cls, *, metrics: PublisherMetrics | None = None, **flags: Any
    ) -> AsyncIterator[Publisher]:
        """Open the backend that the environment names, close it at the end of the block.

        Args:
            metrics: counts for Prometheus; see :mod:`jobfleet_publisher.metrics`.
            flags: settings that stand above the environment, as ``data_dir="/var/jobs"``.

        Raises:
            SettingsError: a variable is unknown or has a bad value; the message names it.
        """
        from jobfleet_backends.open_backend import open_backend
        from jobfleet_backends.settings import load_settings
        from jobfleet_backends.system_clock import SystemClock

        keep_quiet()
        settings = load_settings(**flags)
        backend = await open_backend(settings)
        publisher = cls(
            backend=backend,
            clock=SystemClock(),
            defaults=settings.job_defaults,
            metrics=metrics,
        )
        try:
            yield publisher
        finally:
            await publisher.settle()
            await backend.close()

    async def submit(
        self,
        type: str,  # noqa: A002 - the field's published name
        payload: Any = None,
        *,
        name: str | None = None,
        description: str | None = None,
        priority: int | None = None,
        queue: str | None = None,
        lock_key: str | None = None,
        lock_slots: int | None = None,
        run_at: datetime | None = None,
        delay: timedelta | float | None = None,
        max_attempts: int | None = None,
        timeout: timedelta | float | None = None,
        retry_delay: timedelta | float | None = None,
        idempotency_key: str | None = None,
        callback_url: str | None = None,
        context: Mapping[str, Any] | None = None,
        job_id: str | None = None,
    ) -> SubmittedJob:
        """Submit one job; returns when its first event stands in the trail.

        Args:
            type: which handler runs it.
            payload: plain JSON, a dataclass or a pydantic model.
            name: what people read; the type where none is given.
            priority: 0 to 9, higher first, 5 where none is given.
            lock_key: jobs with the same key never run at the same time.
            lock_slots: so many jobs of the lock key may run at the same time instead of one.
            run_at: aware time before which it does not start; ``delay`` counts from now instead.
            max_attempts: first run included.
            timeout: limit of one attempt; like ``delay`` and ``retry_delay`` in seconds or as a
                ``timedelta``.
            idempotency_key: one for the whole fleet, over all types: begin it with what it is
                for, as ``invoice/2026-11``. The same key with the same job is the same job,
                however often and whenever; ``delay`` counts as said, not the time it led to.
            callback_url: receives the final result, signed.
            context: carried to the handler, as headers of the request that made the job.

        Raises:
            InvalidRequest: a value does not fit; ``field`` names it.
            BodyConflict: the job id or idempotency key was used before with another body.
            BackendUnavailable: the trail did not answer. The job may have been accepted: repeat
                with the same job id or idempotency key.
        """
        from jobfleet_contracts.job import JobRequest

        said = {
            "type": type,
            "payload": plain_payload(payload),
            "jobName": name,
            "description": description,
            "priority": priority,
            "queue": queue,
            "lockKey": lock_key,
            "lockSlots": lock_slots,
            "runAt": run_at,
            "maxAttempts": max_attempts,
            "timeoutSeconds": _seconds(timeout),
            "retryDelaySeconds": _seconds(retry_delay),
            "callbackUrl": callback_url,
            "context": plain_payload(traced(context), field="context"),
            "jobId": job_id,
        }
        request = JobRequest.parse({k: v for k, v in said.items() if v is not None})
        if delay is not None:
            if run_at is not None:
                raise InvalidRequest("give either run_at or delay", field="delay")
            request = request.starting_in(_seconds(delay) or 0, now=self._clock.now())
        return await self.submit_request(request, idempotency_key=idempotency_key)

    async def submit_request(
        self, request: JobRequest, *, idempotency_key: str | None = None, by: str | None = None
    ) -> SubmittedJob:
        """Submit a request that was checked before; raises like :meth:`submit`."""
        if idempotency_key is not None and not idempotency_key.strip():
            told = "the idempotency key is empty; all jobs with it would be one job"
            raise InvalidRequest(told, field="idempotency_key")
        submitter = self._writes.submitter
        answer = await submitter.submit(request, idempotency_key=idempotency_key, by=by)
        return self._job(answer)

    async def submit_many(
        self, requests: Sequence[JobRequest | Mapping[str, Any]], *, by: str | None = None
    ) -> list[SubmittedJob | JobfleetError]:
        """Submit many jobs at once, each for itself.

        Args:
            requests: checked requests, or their JSON form with camelCase names.

        Returns:
            In the order of the requests a job, or the error that its submit raised.

        Raises:
            InvalidRequest: one of them does not fit; nothing has been submitted.
        """
        checked = [_checked(index, request) for index, request in enumerate(requests)]
        answers = await self._writes.submitter.submit_many(checked, by=by)
        return [a if isinstance(a, JobfleetError) else self._job(a) for a in answers]

    async def find(self, job_id: str) -> JobDetails | None:
        """Return where a job stands, by its id; ``None`` if there is no such job.

        Raises:
            BackendUnavailable: the trail does not answer.
        """
        event = await self._trail.newest(job_id)
        if event is None:
            return None
        return JobDetails.of(await resolve(event, self._payloads))

    async def find_request(self, job_id: str) -> JobRequest | None:
        """Return what a job was submitted with; ``None`` if there is no such job.

        Of a removed history it has no payload and no context.

        Raises:
            BackendUnavailable: the trail does not answer.
        """
        event = await self._trail.read(job_id, 1)
        return None if event is None else request_of(await resolve(event, self._payloads))

    async def job(self, job_id: str) -> SubmittedJob:
        """Return a job that was submitted before, by whomever, to wait for it or to cancel it.

        Raises:
            UnknownJob: there is no such job.
            BackendUnavailable: the trail does not answer.
        """
        event = await self._trail.newest(job_id)
        if event is None:
            raise UnknownJob(f"no job {job_id}")
        return self._job(Submitted(job_id, event.after.state, created=False))

    async def settle(self) -> None:
        """Wait up to 5 s for submits and cancels whose callers have left; call it before the end.

        :meth:`from_env` does so by itself.
        """
        await self._writes.settle()

    def _job(self, answer: Submitted) -> SubmittedJob:
        if self._metrics is not None and answer.created:
            self._metrics.jobs_registered(1)
        return SubmittedJob(
            trail=self._trail,
            payloads=self._payloads,
            canceller=self._writes.canceller,
            job_id=answer.job_id,
            submitted=answer.state,
            created=answer.created,
            warning=answer.warning,
        )


def keep_quiet() -> None:
    """Send log lines of the library to standard error: the standard output is the program's."""
    if not structlog.is_configured():
        structlog.configure(
            wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
            logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        )


def _checked(index: int, request: JobRequest | Mapping[str, Any]) -> JobRequest:
    from jobfleet_contracts.job import JobRequest

    if isinstance(request, JobRequest):
        return request
    try:
        return JobRequest.parse(request)
    except InvalidRequest as error:
        raise InvalidRequest(f"job {index}: {error}", field=error.field) from error


def _seconds(value: timedelta | float | None) -> float | None:
    return value.total_seconds() if isinstance(value, timedelta) else value
