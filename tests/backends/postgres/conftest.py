"""One open backend on a schema of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from pydantic import SecretStr

from devtools.servers import PostgresServer
from jobfleet_backends.open_backend import open_backend
from jobfleet_backends.settings import Settings
from jobfleet_contracts.backend import Backend


@pytest.fixture
def settings(postgres: PostgresServer, postgres_schema: str) -> Settings:
    return Settings(
        backend="postgres",
        postgres_url=SecretStr(postgres.url),
        postgres_schema=postgres_schema,
    )


@pytest.fixture
async def backend(settings: Settings) -> AsyncIterator[Backend]:
    backend = await open_backend(settings)
    yield backend
    await backend.close()
