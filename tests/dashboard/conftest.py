"""A dashboard on an embedded backend of its own, for what pages and API answer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from jobfleet_backends.open_backend import open_backend
from jobfleet_backends.settings import Settings
from jobfleet_contracts.backend import Backend
from tests.dashboard.api.asgi_client import AsgiClient
from tests.dashboard.api.conftest import client_of
from tests.dashboard.api.life import Life


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
