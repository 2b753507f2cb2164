"""A fleet of one worker in this process, on the embedded backend."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import structlog

from jobfleet_backends.open_backend import open_backend
from jobfleet_backends.settings import Settings
from jobfleet_backends.system_clock import SystemClock
from jobfleet_contracts.backend import Backend
from jobfleet_publisher import Publisher
from jobfleet_worker import Fail, handler
from jobfleet_worker.handlers.registry import Handlers
from jobfleet_worker.options import WorkerOptions
from jobfleet_worker.worker import Worker


@handler("echo")
async def _echo(payload: object) -> object:
    return payload


@handler("broken")
async def _broken(_payload: object) -> None:
    raise Fail("it is broken")


@pytest.fixture(autouse=True)
def _own_logging() -> Iterator[None]:
    """A publisher from the environment configures structlog if the program has not."""
    before = structlog.get_config() if structlog.is_configured() else None
    structlog.reset_defaults()
    yield
    structlog.reset_defaults()
    if before is not None:
        structlog.configure(**before)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings of an empty folder."""
    return Settings(_env_file=None, data_dir=tmp_path)


@pytest.fixture
async def backend(settings: Settings) -> AsyncIterator[Backend]:
    """The embedded backend, open."""
    opened = await open_backend(settings)
    yield opened
    await opened.close()


@pytest.fixture
def publisher(settings: Settings, backend: Backend) -> Publisher:
    """A publisher on it."""
    return Publisher(backend=backend, clock=SystemClock(), defaults=settings.job_defaults)


@pytest.fixture
async def worker(settings: Settings, backend: Backend) -> AsyncIterator[Worker]:
    """A running worker that echoes, or breaks."""
    made = Worker(
        backend=backend,
        handlers=Handlers.of(_echo, _broken),
        options=WorkerOptions(defaults=settings.job_defaults),
        clock=SystemClock(),
    )
    running = asyncio.create_task(made.run(), name="worker")
    yield made
    made.request_stop()
    await running
