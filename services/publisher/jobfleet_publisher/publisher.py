"""The library that programs submit jobs with."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, Self, Unpack

import structlog

from jobfleet_contracts.backend import Backend
from jobfleet_contracts.errors import InvalidRequest, JobfleetError, UnknownJob
from jobfleet_contracts.job_id import check_job_id
from jobfleet_contracts.message import JobDefaults
from jobfleet_contracts.ports import Clock
from jobfleet_contracts.transaction import Opened, Opening, UserTransactions
from jobfleet_protocol.actions.groups import Groups
from jobfleet_protocol.actions.submission import Submitted, request_of
from jobfleet_protocol.actions.write_side import WriteSide
from jobfleet_protocol.trail.large_data import resolve
from jobfleet_publisher import current
from jobfleet_publisher.group_opening import OpensGroups
from jobfleet_publisher.job_details import JobDetails
from jobfleet_publisher.plain_payload import plain_payload
from jobfleet_publisher.request_fields import request_fields, seconds_of
from jobfleet_publisher.submit_options import JobOptions
from jobfleet_publisher.submitted_job import SubmittedJob
from jobfleet_publisher.trace_context import traced

if TYPE_CHECKING:
    from jobfleet_contracts.job import JobRequest
    from jobfleet_publisher.metrics import PublisherMetrics
    from jobfleet_publisher.then import Then


NOT_STARTED = (
    "the publisher is not started; use it in `async with Publisher.from_env() as publisher:`, or "
    "call `await publisher.start()` first"
)
OTHER_LOOP = (
    "the publisher was started on another event loop. Start one on this loop, or use "
    "jobfleet_publisher.sync.Publisher, which serves all threads"
)


BLOCKING_CONNECTION = (
    "connection: it would block this event loop; give an asynchronous one, or use "
    "jobfleet_publisher.sync.Publisher"
)


@dataclass(frozen=True, slots=True)
class TransactionPart:
    """One job's part of a transaction of the submitter's."""

    request: JobRequest
    opening: Opening
    fleet: str
    transactions: UserTransactions


@dataclass(frozen=True, slots=True)
class _Open:
    """An open backend, and the process and loop that its connections belong to."""

    backend: Backend
    clock: Clock
    writes: WriteSide
    loop: asyncio.AbstractEventLoop | None = None
    process: int = field(default_factory=os.getpid)


class Publisher(OpensGroups):
    """Submits jobs to a fleet. Safe to share between tasks of one event loop.

    ``async with Publisher.from_env() as publisher`` opens and closes it; a web application calls
    ``start`` and ``stop`` instead. In a forked child the next call opens the backend anew; the
    parent's connections stay the parent's.
    """

    def __init__(
        self,
        *,
        backend: Backend,
        clock: Clock,
        defaults: JobDefaults,
        metrics: PublisherMetrics | None = None,
    ) -> None:
        """Use an open backend; the caller calls :meth:`settle`, then closes the backend.

        Args:
            defaults: applied where a job does not say.
            metrics: counts for Prometheus; see :mod:`jobfleet_publisher.metrics`.
        """
        self._prepare(metrics)
        self._take(backend, clock, defaults)

    def _prepare(
        self, metrics: PublisherMetrics | None, flags: Mapping[str, Any] | None = None
    ) -> None:
        self._metrics = metrics
        self._flags = flags
        self._opened: _Open | None = None
        self._one_start = asyncio.Lock()

    @classmethod
    def from_env(cls, *, metrics: PublisherMetrics | None = None, **flags: Any) -> Publisher:
        """Return a publisher on the backend that the environment names; ``async with`` opens it.

        Args:
            metrics: counts for Prometheus; see :mod:`jobfleet_publisher.metrics`.
            flags: settings that stand above the environment, as ``data_dir="/var/jobs"``.
        """
        publisher = cls.__new__(cls)
        publisher._prepare(metrics, flags)
        return publisher

    async def start(self) -> None:
        """Open the backend; a publisher that is started already stays as it is.

        The publisher started last on an event loop is the one that handlers' own ``submit`` uses.

        Raises:
            SettingsError: a variable is unknown or has a bad value; the message names it.
        """
        async with self._one_start:
            if self._opened is None:
                await self._open()
            current.began(self)

    async def stop(self) -> None:
        """Wait for submits in progress, then close the backend; safe to call twice."""
        current.ended(self)
        opened = self._opened
        if self._flags is None or opened is None:
            await self.settle()  # the caller opened the backend, and closes it
            return
        self._opened = None
        if opened.process == os.getpid():
            await opened.writes.settle()
            await opened.backend.close()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_raised: object) -> None:
        await self.stop()

    @asynccontextmanager
    async def lifespan(self, _app: object) -> AsyncIterator[None]:
        """Be the lifespan of an ASGI application: ``FastAPI(lifespan=publisher.lifespan)``."""
        async with self:
            yield

    def _take(self, backend: Backend, clock: Clock, defaults: JobDefaults) -> _Open:
        if self._metrics is not None:
            self._metrics.watch(backend.requests)
        writes = WriteSide.wire(backend=backend, clock=clock, defaults=defaults)
        loop = None if self._flags is None else asyncio.get_running_loop()
        self._opened = _Open(backend, clock, writes, loop)
        return self._opened

    async def _open(self) -> _Open:
        from jobfleet_backends.open_backend import open_backend
        from jobfleet_backends.settings import load_settings
        from jobfleet_backends.system_clock import SystemClock

        keep_quiet()
        settings = load_settings(**self._flags or {})
        backend = await open_backend(settings)
        return self._take(backend, SystemClock(), settings.job_defaults)

    async def _use(self) -> _Open:
        """Return the open backend; in a forked child, open one of its own first."""
        opened = self._opened
        if opened is None:
            raise RuntimeError(NOT_STARTED)
        if opened.loop is None:
            return opened
        if opened.process == os.getpid():
            if opened.loop is not asyncio.get_running_loop():
                raise RuntimeError(OTHER_LOOP)
            return opened
        _of_parents.append(opened)
        self._opened, self._one_start = None, asyncio.Lock()
        await self.start()
        return await self._use()

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
        limits: Sequence[str] | None = None,
        run_at: datetime | None = None,
        delay: timedelta | float | None = None,
        max_attempts: int | None = None,
        on_lost: Literal["retry", "fail"] | None = None,
        max_takeovers: int | None = None,
        timeout: timedelta | float | None = None,
        retry_delay: timedelta | float | None = None,
        idempotency_key: str | None = None,
        callback_url: str | None = None,
        context: Mapping[str, Any] | None = None,
        then: Sequence[Then] | None = None,
        job_id: str | None = None,
        connection: Any = None,
        notify: bool = False,
    ) -> SubmittedJob:
        """Submit one job; returns when its first event is in the trail.

        Args:
            type: which handler runs it.
            payload: plain JSON, a dataclass or a pydantic model.
            name: what people read; the type if none is given.
            priority: 0 to 9, higher first, 5 if none is given.
            lock_key: jobfleet starts one job of a key at a time. After a pause a handler that is
                being stopped may still overlap the next one.
            lock_slots: how many jobs of the lock key may run at the same time, instead of one.
            limits: up to three named limits, which operators set.
            run_at: aware time before which it does not start; ``delay`` counts from now instead.
            max_attempts: first run included.
            on_lost: ``fail`` ends a job whose worker was lost, instead of starting it again.
            max_takeovers: how many lost workers in a row it survives, 5 if none is given.
            timeout: limit of one attempt; like ``delay`` and ``retry_delay`` in seconds or as a
                ``timedelta``.
            idempotency_key: one for the whole fleet, over all types: begin it with what it is
                for, as ``invoice/2026-11``. The same key with the same job is the same job,
                however often and whenever; ``delay`` is compared as given, not by the time that it
                leads to.
            callback_url: receives the final result, signed.
            context: carried to the handler, as headers of the request that made the job.
            then: jobs that jobfleet submits when this one has ended.
            connection: with an open transaction of your own on the fleet's PostgreSQL database,
                from psycopg or SQLAlchemy: the job exists if, and only if, you commit it. What
                the connection raises is raised here; nothing is repeated.
            notify: wake waiting workers at that commit. Without it they find the job in a second.

        Raises:
            InvalidRequest: a value does not fit; ``field`` names it.
            BodyConflict: the job id or idempotency key was used before with another body. It
                leaves a transaction of your own as it is.
            BackendUnavailable: the trail did not answer. The job may have been accepted: repeat
                with the same job id or idempotency key.
        """
        request = await self.request(
            type,
            payload,
            name=name,
            description=description,
            priority=priority,
            queue=queue,
            lock_key=lock_key,
            lock_slots=lock_slots,
            limits=limits,
            run_at=run_at,
            delay=delay,
            max_attempts=max_attempts,
            on_lost=on_lost,
            max_takeovers=max_takeovers,
            timeout=timeout,
            retry_delay=retry_delay,
            callback_url=callback_url,
            context=context,
            then=then,
            job_id=job_id,
        )
        if connection is None:
            return await self.submit_request(request, idempotency_key=idempotency_key)
        return await self._submit_in(connection, request, idempotency_key, notify=notify)

    async def _submit_in(
        self, connection: Any, request: JobRequest, idempotency_key: str | None, *, notify: bool
    ) -> SubmittedJob:
        part = await self.transaction_part(request, idempotency_key=idempotency_key, notify=notify)
        if not part.transactions.is_async(connection):
            raise InvalidRequest(BLOCKING_CONNECTION, field="connection")
        written = await part.transactions.write_async(connection, part.opening, part.fleet)
        return await self.submitted_in(part, written)

    async def transaction_part(
        self, request: JobRequest, *, idempotency_key: str | None = None, notify: bool = False
    ) -> TransactionPart:
        """Return what a transaction of the caller's has to write for a job.

        Raises:
            InvalidRequest: the fleet's backend has no transactions, or a value does not fit.
            FleetTooOld: a live worker's release cannot act on a field of the request.
            FleetSealed: the fleet is sealed.
            BackendUnavailable: the database does not answer.
        """
        opened = await self._use()
        transactions = opened.backend.transactions
        if transactions is None:
            raise InvalidRequest(
                "connection: the fleet's backend is "
                f"{opened.backend.name}; only postgres has transactions to submit in",
                field="connection",
            )
        submission = opened.writes.transactional
        request = submission.identified(request, idempotency_key)
        await opened.writes.gate.admit(request, by=None)
        await submission.check_seal()
        return TransactionPart(
            request=request,
            opening=submission.opening(request, by=None, notify=notify),
            fleet=await transactions.fleet(),
            transactions=transactions,
        )

    async def submitted_in(self, part: TransactionPart, written: Opened) -> SubmittedJob:
        """Return the job of a part that was written.

        Raises:
            BodyConflict: the job id or idempotency key was used before with another body.
            FleetSealed: the fleet was sealed meanwhile: roll the transaction back.
        """
        opened = await self._use()
        await opened.writes.transactional.check_seal()
        answer = opened.writes.transactional.answer(part.request, part.opening, written)
        return self._job(answer, opened)

    async def request(
        self,
        type: str,  # noqa: A002 - the field's published name
        payload: Any = None,
        *,
        job_id: str | None = None,
        **options: Unpack[JobOptions],
    ) -> JobRequest:
        """Return a checked request for :meth:`submit_many`; options as in :meth:`submit`.

        Raises:
            InvalidRequest: a value does not fit; ``field`` names it.
        """
        from jobfleet_contracts.job import JobRequest

        opened = await self._use()
        given = request_fields(options) | {
            "type": type,
            "payload": plain_payload(payload),
            "context": plain_payload(traced(options.get("context")), field="context"),
            "jobId": job_id,
        }
        request = JobRequest.parse({k: v for k, v in given.items() if v is not None})
        delay = options.get("delay")
        if delay is None:
            return request
        if options.get("run_at") is not None:
            raise InvalidRequest("give either run_at or delay", field="delay")
        return request.starting_in(seconds_of(delay) or 0, now=opened.clock.now())

    async def submit_request(
        self, request: JobRequest, *, idempotency_key: str | None = None, by: str | None = None
    ) -> SubmittedJob:
        """Submit a request that was checked before; raises like :meth:`submit`."""
        opened = await self._use()
        submitter = opened.writes.submitter
        answer = await submitter.submit(request, idempotency_key=idempotency_key, by=by)
        return self._job(answer, opened)

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
        opened = await self._use()
        answers = await opened.writes.submitter.submit_many(checked, by=by)
        return [a if isinstance(a, JobfleetError) else self._job(a, opened) for a in answers]

    async def _group_parts(self) -> tuple[Groups, Callable[[Submitted], SubmittedJob]]:
        opened = await self._use()
        return opened.writes.groups, lambda answer: self._job(answer, opened)

    async def find(self, job_id: str) -> JobDetails | None:
        """Return where a job stands, by its id; ``None`` if there is no such job.

        Raises:
            InvalidRequest: the id is no text.
            BackendUnavailable: the trail does not answer.
        """
        check_job_id(job_id)
        backend = (await self._use()).backend
        event = await backend.trail.newest(job_id)
        if event is None:
            return None
        return JobDetails.of(backend.coder.opened(await resolve(event, backend.payloads)))

    async def find_request(self, job_id: str) -> JobRequest | None:
        """Return what a job was submitted with; ``None`` if there is no such job.

        If the history was removed, it has no payload and no context.

        Raises:
            InvalidRequest: the id is no text.
            CodecError: it is encoded, and cannot be decoded here.
            BackendUnavailable: the trail does not answer.
        """
        check_job_id(job_id)
        backend = (await self._use()).backend
        event = await backend.trail.read(job_id, 1)
        if event is None:
            return None
        return backend.coder.clear_request(request_of(await resolve(event, backend.payloads)))

    async def job(self, job_id: str) -> SubmittedJob:
        """Return a job that was submitted before, by whomever, to wait for it or to cancel it.

        Raises:
            InvalidRequest: the id is no text.
            UnknownJob: there is no such job.
            BackendUnavailable: the trail does not answer.
        """
        check_job_id(job_id)
        opened = await self._use()
        event = await opened.backend.trail.newest(job_id)
        if event is None:
            raise UnknownJob(f"no job {job_id}")
        return self._job(Submitted(job_id, event.after.state, created=False), opened)

    async def settle(self) -> None:
        """Wait up to 5 s for submits and cancels whose callers have left; call it before the end.

        :meth:`stop` does so by itself.
        """
        if self._opened is not None:
            await self._opened.writes.settle()

    def _job(self, answer: Submitted, opened: _Open) -> SubmittedJob:
        if self._metrics is not None and answer.created:
            self._metrics.jobs_registered(1)
        return SubmittedJob(
            trail=opened.backend.trail,
            payloads=opened.backend.payloads,
            canceller=opened.writes.canceller,
            job_id=answer.job_id,
            submitted=answer.state,
            created=answer.created,
            warning=answer.warning,
            transaction=answer.transaction,
            transactions=opened.backend.transactions,
            coder=opened.backend.coder,
        )


_of_parents: list[_Open] = []
"""Kept for ever: to collect one would close connections that the parent process uses."""


def keep_quiet() -> None:
    """Send log lines of the library to standard error: the standard output is the program's.

    Tracebacks are plain. structlog's own default, where rich is installed, prints the values of
    local variables, secrets among them, and takes seconds of the event loop for it.
    """
    if not structlog.is_configured():
        plain = structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
        structlog.configure(
            processors=[*structlog.get_config()["processors"][:-1], plain],
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
