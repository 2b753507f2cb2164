"""A site of a test's own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from jobfleet_backends.open_backend import open_backend
from jobfleet_backends.settings import Settings
from tests.entrances.entrances import Site


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    """An embedded backend and what stands before it; no worker."""
    settings = Settings(_env_file=None, data_dir=tmp_path)
    backend = await open_backend(settings)
    yield Site(backend, settings, tmp_path)
    await backend.close()
