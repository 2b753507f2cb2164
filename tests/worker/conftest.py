"""A workshop per test on the embedded backend."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from jobfleet_backends.settings import Settings
from jobfleet_backends.sqlite.backend import open_embedded
from tests.protocol.steered_clock import SteeredClock
from tests.worker.workshop import Workshop


@pytest.fixture
def clock() -> SteeredClock:
    return SteeredClock()


@pytest.fixture
async def workshop(tmp_path: Path, clock: SteeredClock) -> AsyncIterator[Workshop]:
    """Workers of a test end before its backend is closed, and every trail is then in order."""
    settings = Settings(backend="embedded", data_dir=tmp_path)
    backend = await open_embedded(settings, clock=clock)
    found = Workshop(backend, clock)
    yield found
    await found.close()
    await found.verified()
    await backend.close()
