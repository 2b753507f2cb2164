"""A site of a test's own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import structlog

from jobfleet_backends.open_backend import open_backend
from jobfleet_backends.settings import Settings
from tests.entrances.entrances import Site


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
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    """An embedded backend and what stands before it; no worker."""
    settings = Settings(_env_file=None, data_dir=tmp_path)
    backend = await open_backend(settings)
    yield Site(backend, settings, tmp_path)
    await backend.close()
