"""A dashboard on an embedded backend of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from jobfleet_backends.open_backend import open_backend
from jobfleet_backends.settings import Settings
from jobfleet_backends.system_clock import SystemClock
from jobfleet_contracts.backend import Backend
from jobfleet_contracts.message import JobDefaults
from jobfleet_dashboard.app import create_app
from jobfleet_dashboard.options import DashboardOptions
from tests.dashboard.api.asgi_client import AsgiClient
from tests.dashboard.api.life import Life

DEFAULTS = JobDefaults(
    max_attempts=3, retry_delay_seconds=2, retry_max_seconds=300, timeout_seconds=1800
)


@pytest.fixture
async def backend(tmp_path: Path) -> AsyncIterator[Backend]:
    """The embedded backend in a folder of this test's own."""
    opened = await open_backend(Settings(data_dir=tmp_path, _env_file=None))
    yield opened
    await opened.close()


@pytest.fixture
def client(backend: Backend) -> AsgiClient:
    """A client of a dashboard without keys."""
    return client_of(backend)


@pytest.fixture
def life(backend: Backend) -> Life:
    """Writes what workers would write."""
    return Life(backend)


def options_with(**changes: Any) -> DashboardOptions:
    """Options for tests."""
    given: dict[str, Any] = {"defaults": DEFAULTS, "version": "1.2.3", **changes}
    return DashboardOptions(**given)


def client_of(backend: Backend, **changes: Any) -> AsgiClient:
    """A client of a dashboard with these options."""
    app = create_app(backend=backend, clock=SystemClock(), options=options_with(**changes))
    return AsgiClient(app)
