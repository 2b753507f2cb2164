"""An embedded backend in a folder of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from jobfleet_backends.settings import Settings
from jobfleet_backends.sqlite.backend import open_embedded
from jobfleet_backends.sqlite.database import Database
from jobfleet_backends.system_clock import SystemClock
from jobfleet_contracts.backend import Backend


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(backend="embedded", data_dir=tmp_path / "data")


@pytest.fixture
def path(settings: Settings) -> Path:
    """The database file."""
    return settings.data_dir / "jobfleet.db"


@pytest.fixture
async def backend(settings: Settings) -> AsyncIterator[Backend]:
    backend = await open_embedded(settings)
    yield backend
    await backend.close()


@pytest.fixture
async def database(path: Path) -> AsyncIterator[Database]:
    database = Database(path=path, clock=SystemClock(), busy_seconds=0.2)
    database.open()
    yield database
    await database.close()
