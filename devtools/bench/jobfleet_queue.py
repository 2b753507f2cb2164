"""Submitting to jobfleet and checking what it did, through its own library."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog

from jobfleet_backends.open_backend import open_backend
from jobfleet_backends.settings import Settings
from jobfleet_backends.system_clock import SystemClock
from jobfleet_cli.event_loop import run_async
from jobfleet_contracts.backend import Backend
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.state import State
from jobfleet_protocol.actions.write_side import WriteSide
from jobfleet_publisher.sync import Publisher

NOOP = "bench.noop"
_PATIENCE_SECONDS = 120.0

WORKER = (sys.executable, "-m", "jobfleet_cli", "worker", "--handlers", "devtools.bench.handlers")


def keep_quiet() -> None:
    """Log warnings only, as the workers do."""
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


async def submit_all(backend: Backend, settings: Settings, jobs: int, job_type: str = NOOP) -> None:
    """Submit jobs, 64 at a time."""
    submitter = WriteSide.wire(
        backend=backend, clock=SystemClock(), defaults=settings.job_defaults
    ).submitter
    await submitter.submit_many([_request(job_type) for _ in range(jobs)])


def submit(settings: Settings, jobs: int, job_type: str = NOOP) -> None:
    """Open the backend, submit, close it."""

    async def work() -> None:
        backend = await open_backend(settings)
        try:
            await submit_all(backend, settings, jobs, job_type)
        finally:
            await backend.close()

    run_async(work())


@contextmanager
def sender(settings: Settings) -> Iterator[Callable[[], object]]:
    """Keep a publisher open that submits one job a call."""
    with Publisher(**settings.model_dump(exclude_unset=True)) as publisher:
        yield lambda: publisher.submit(NOOP, time.time())


def check(settings: Settings, jobs: int) -> None:
    """Wait until the index shows every job as completed.

    Raises:
        RuntimeError: it does not within two minutes.
    """

    async def work() -> None:
        backend = await open_backend(settings)
        deadline = time.monotonic() + _PATIENCE_SECONDS
        try:
            while (done := (await backend.reader.counts()).get(State.COMPLETED, 0)) != jobs:
                if time.monotonic() > deadline:
                    raise RuntimeError(f"{done} of {jobs} jobs are completed")
                await asyncio.sleep(0.05)
        finally:
            await backend.close()

    run_async(work())


def _request(job_type: str) -> JobRequest:
    return JobRequest(type=job_type, payload=time.time())
