"""A service that ends waits for changes whose callers have left."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from jobfleet_backends.settings import Settings
from jobfleet_backends.sqlite.backend import open_embedded
from jobfleet_backends.system_clock import SystemClock
from jobfleet_contracts.backend import Backend
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.message import JobDefaults
from jobfleet_dashboard.app import create_app
from jobfleet_dashboard.options import DashboardOptions
from jobfleet_dashboard.services import Services
from jobfleet_publisher import Publisher
from tests.polling import eventually
from tests.protocol.faulty_port import FaultyPort

DEFAULTS = JobDefaults(
    max_attempts=3, retry_delay_seconds=2, retry_max_seconds=300, timeout_seconds=1800
)
REQUEST = JobRequest(type="report")


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


@pytest.mark.parametrize("end", [_end_publisher, _end_dashboard])
async def test_a_submit_whose_caller_has_left_stands_when_the_service_has_ended(
    backend: Backend, end: Callable[[Backend, FaultyPort], Awaitable[None]]
) -> None:
    trail = FaultyPort(backend.trail)
    await end(replace(backend, trail=trail, openings=None), trail)
    assert await backend.trail.read(REQUEST.job_id, 1) is not None
