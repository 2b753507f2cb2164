"""A service that ends waits for changes whose callers have left."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from jobfleet_backends.settings import Settings
from jobfleet_backends.sqlite.backend import open_embedded
from jobfleet_backends.system_clock import SystemClock
from jobfleet_cli import session as session_module
from jobfleet_cli.session import Session
from jobfleet_contracts.backend import Backend
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.message import JobDefaults
from jobfleet_dashboard.app import create_app
from jobfleet_dashboard.options import DashboardOptions
from jobfleet_dashboard.services import Services
from jobfleet_publisher import Publisher
from jobfleet_publisher.current import current_publisher
from jobfleet_worker import handler
from jobfleet_worker.handlers.registry import Handlers
from jobfleet_worker.options import WorkerOptions
from jobfleet_worker.worker import Worker
from tests.polling import eventually
from tests.protocol.faulty_port import FaultyPort

DEFAULTS = JobDefaults(
    max_attempts=3, retry_delay_seconds=2, retry_max_seconds=300, timeout_seconds=1800
)
REQUEST = JobRequest(type="report")


@handler("echo")
async def _echo(payload: object) -> object:
    return payload


@pytest.fixture
async def backend(tmp_path: Path) -> AsyncIterator[Backend]:
    opened = await open_embedded(Settings(data_dir=tmp_path, _env_file=None))
    yield opened
    await opened.close()


async def _leave_during_append(submit: Awaitable[object], trail: FaultyPort) -> None:
    """Cancel the caller of a submit while the storage refuses event 1."""
    trail.lose_request("insert", times=4)
    caller = asyncio.ensure_future(submit)

    async def sent() -> bool:
        return trail.calls["insert"] > 0

    await eventually("event 1 was sent", sent)
    caller.cancel()
    await asyncio.gather(caller, return_exceptions=True)


async def _end_publisher(backend: Backend, trail: FaultyPort) -> None:
    publisher = Publisher(backend=backend, clock=SystemClock(), defaults=DEFAULTS)
    await _leave_during_append(publisher.submit_request(REQUEST), trail)
    await publisher.settle()


async def _end_dashboard(backend: Backend, trail: FaultyPort) -> None:
    options = DashboardOptions(defaults=DEFAULTS, version="1")
    app = create_app(backend=backend, clock=SystemClock(), options=options)
    services: Services = app.state.services
    async with app.router.lifespan_context(app):
        await _leave_during_append(services.writes.submitter.submit(REQUEST), trail)


@asynccontextmanager
async def _worker(backend: Backend) -> AsyncIterator[Worker]:
    worker = Worker(
        backend=backend,
        handlers=Handlers.of(_echo),
        options=WorkerOptions(defaults=DEFAULTS),
        clock=SystemClock(),
    )
    running = asyncio.create_task(worker.run(), name="worker")
    await worker.has_started.wait()
    yield worker
    worker.request_stop()
    await running


async def _end_worker(backend: Backend, trail: FaultyPort) -> None:
    async with _worker(backend) as worker:
        await _leave_during_append(worker._setup.writes.submitter.submit(REQUEST), trail)


async def _end_worker_whose_handler_submits(backend: Backend, trail: FaultyPort) -> None:
    async with _worker(backend):
        await _leave_during_append(current_publisher().submit_request(REQUEST), trail)


async def _end_command(backend: Backend, trail: FaultyPort) -> None:
    async def opened(_: Settings) -> Backend:
        return replace(backend, close=_stay_open)

    async def command(session: Session) -> None:
        await _leave_during_append(session.writes.submitter.submit(REQUEST), trail)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(session_module, "open_backend", opened)
        await session_module._opened(Settings(_env_file=None), command)


async def _stay_open() -> None:
    """The test reads the trail afterwards."""


@pytest.mark.parametrize(
    "end",
    [
        _end_publisher,
        _end_dashboard,
        _end_worker,
        _end_worker_whose_handler_submits,
        _end_command,
    ],
)
async def test_a_submit_whose_caller_has_left_stands_when_the_service_has_ended(
    backend: Backend, end: Callable[[Backend, FaultyPort], Awaitable[None]]
) -> None:
    trail = FaultyPort(backend.trail)
    await end(replace(backend, trail=trail, openings=None), trail)
    assert await backend.trail.read(REQUEST.job_id, 1) is not None
