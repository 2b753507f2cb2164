"""One fleet per test, on each backend."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.system.fleet import LEASE_SECONDS, Fleet


@pytest.fixture
async def fleet(backend_environment: dict[str, str], tmp_path: Path) -> AsyncIterator[Fleet]:
    """A fleet with a lease of 15 s and a sweep each second; it leaves no process behind."""
    environment = backend_environment | {
        "JOBFLEET_LEASE_SECONDS": str(LEASE_SECONDS),
        "JOBFLEET_LEASE_RENEW_SECONDS": "5",
        "JOBFLEET_RESCUE_SECONDS": "1",
        "JOBFLEET_DEFER_SECONDS": "1",
        "JOBFLEET_RETRY_BASE_SECONDS": "0.2",
        "JOBFLEET_LOG_FORMAT": "json",
    }
    found = Fleet(environment, tmp_path)
    await found.open()
    yield found
    await found.close()
