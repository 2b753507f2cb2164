"""Every port's suite runs over each backend: ``embedded``, ``azure`` and ``postgres``.

Where the simulation has a fake of the port, the suite also runs over that: ``WITH_FAKES``.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path

import pytest
from pydantic import SecretStr

from devtools.prove_azure.names import own_name, own_namespace
from jobfleet_backends.open_backend import open_backend
from jobfleet_backends.rabbitmq import message_key
from jobfleet_backends.settings import Settings
from jobfleet_contracts.backend import Backend
from tests.conformance.simulated import Simulated
from tests.simulation import fake_leases

BACKENDS = [
    "embedded",
    pytest.param("azure", marks=pytest.mark.servers),
    pytest.param("postgres", marks=pytest.mark.servers),
]
SIMULATED = "simulated"
WITH_FAKES = pytest.mark.parametrize("settings", [*BACKENDS, SIMULATED], indirect=True)
Open = Callable[[], Awaitable[Backend]]


@pytest.fixture(params=BACKENDS)
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """Settings of a backend that no other test shares; the simulated one has none."""
    if request.param in ("embedded", SIMULATED):
        return Settings(backend="embedded", data_dir=tmp_path)
    own = own_name()
    if request.param == "postgres":
        return Settings(
            backend="postgres",
            postgres_url=SecretStr(request.getfixturevalue("postgres").url),
            postgres_schema=request.getfixturevalue("postgres_schema"),
        )
    storage = request.getfixturevalue("azurite").connection_string
    return Settings(
        backend="azure",
        namespace=own_namespace("test"),
        lock_container=f"locks-{own}",
        audit_table=f"Test{own}",
        rabbitmq_url=SecretStr(request.getfixturevalue("rabbitmq").url),
        storage_connection_string=SecretStr(storage),
    )


def is_simulated(request: pytest.FixtureRequest) -> bool:
    """Whether the test runs over the fakes of the simulation."""
    return bool(request.node.callspec.params.get("settings") == SIMULATED)


@pytest.fixture
def open_anew(request: pytest.FixtureRequest, settings: Settings) -> Open:
    """Opens the backend under test, as each process does."""
    return Simulated().open if is_simulated(request) else partial(open_backend, settings)


@pytest.fixture(autouse=True)
def _a_busy_storage_has_time_to_give_the_message_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it each message counts as a foreign one, and has lost its hints."""
    monkeypatch.setattr(message_key, "_SECONDS", 60.0)


@pytest.fixture
async def backend(open_anew: Open) -> AsyncIterator[Backend]:
    """The backend under test."""
    backend = await open_anew()
    yield backend
    await backend.close()


@pytest.fixture
async def other(open_anew: Open, backend: Backend) -> AsyncIterator[Backend]:
    """The same data opened once more, as another process does."""
    other = await open_anew()
    yield other
    await other.close()


@pytest.fixture
def short_lease(
    request: pytest.FixtureRequest, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> float:
    """Seconds of the shortest lease that the backend grants."""
    if is_simulated(request):  # it is as strict as Azure; 15 s of each lease would show no more
        monkeypatch.setattr(fake_leases, "SHORTEST", 1.0)
        return 1.0
    return 15.0 if settings.backend == "azure" else 0.2


@pytest.fixture(autouse=True)
async def _no_task_is_left() -> AsyncIterator[None]:
    """A closed backend leaves no task behind."""
    before = asyncio.all_tasks()
    yield
    async with asyncio.timeout(60):
        while asyncio.all_tasks() - before - {asyncio.current_task()}:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
