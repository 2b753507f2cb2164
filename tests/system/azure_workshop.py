"""A workshop on real RabbitMQ and Azurite: workers in this process, servers to do harm to."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from pydantic import SecretStr

from jobfleet_backends.open_backend import open_backend
from jobfleet_backends.settings import Settings
from jobfleet_backends.system_clock import SystemClock
from tests.worker.workshop import OPTIONS, Workshop

AZURE_OPTIONS = replace(
    OPTIONS, lease_seconds=15, renew_seconds=5, rescue_seconds=1, heartbeat_seconds=5
)


def azure_settings(rabbitmq_url: str, storage: str) -> Settings:
    """Settings that share no name with any other test."""
    own = uuid.uuid4().hex[:12]
    return Settings(
        backend="azure",
        namespace=f"test-{own}",
        lock_container=f"locks-{own}",
        audit_table=f"Test{own}",
        rabbitmq_url=SecretStr(rabbitmq_url),
        storage_connection_string=SecretStr(storage),
    )


@asynccontextmanager
async def opened_workshop(settings: Settings) -> AsyncIterator[Workshop]:
    """Workers end first; then every trail is in order."""
    backend = await open_backend(settings)
    workshop = Workshop(backend, SystemClock(), AZURE_OPTIONS)
    try:
        yield workshop
        await workshop.close()
        await workshop.verified()
    finally:
        await workshop.close()
        await backend.close()
