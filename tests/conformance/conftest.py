"""Every port's suite runs over each backend: ``embedded``, ``azure`` and ``postgres``."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from jobfleet_backends.open_backend import open_backend
from jobfleet_backends.settings import Settings
from jobfleet_contracts.backend import Backend

BACKENDS = [
    "embedded",
    pytest.param("azure", marks=pytest.mark.servers),
    pytest.param("postgres", marks=pytest.mark.servers),
]


@pytest.fixture(params=BACKENDS)
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """Settings of a backend that no other test shares."""
    if request.param == "embedded":
        return Settings(backend="embedded", data_dir=tmp_path)
    own = uuid.uuid4().hex[:12]
    if request.param == "postgres":
        return Settings(
            backend="postgres",
            postgres_url=SecretStr(request.getfixturevalue("postgres").url),
            postgres_schema=request.getfixturevalue("postgres_schema"),
        )
    storage = request.getfixturevalue("azurite").connection_string
    return Settings(
        backend="azure",
        namespace=f"test-{own}",
        lock_container=f"locks-{own}",
        audit_table=f"Test{own}",
        rabbitmq_url=SecretStr(request.getfixturevalue("rabbitmq").url),
        storage_connection_string=SecretStr(storage),
    )


@pytest.fixture
async def backend(settings: Settings) -> AsyncIterator[Backend]:
    """The backend under test."""
    backend = await open_backend(settings)
    yield backend
    await backend.close()


@pytest.fixture
async def other(settings: Settings, backend: Backend) -> AsyncIterator[Backend]:
    """The same data opened once more, as another process does."""
    other = await open_backend(settings)
    yield other
    await other.close()


@pytest.fixture
def short_lease(settings: Settings) -> float:
    """Seconds of the shortest lease that the backend grants."""
    return 15.0 if settings.backend == "azure" else 0.2


@pytest.fixture(autouse=True)
async def _no_task_is_left() -> AsyncIterator[None]:
    """A closed backend leaves no task behind."""
    before = asyncio.all_tasks()
    yield
    async with asyncio.timeout(60):
        while asyncio.all_tasks() - before - {asyncio.current_task()}:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
