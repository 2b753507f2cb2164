"""One fleet per test, on each backend."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.system.fleet import LEASE_SECONDS, Fleet


@pytest.fixture(params=["embedded", "azure"])
def backend_environment(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    """Variables that name the backend; the azure one runs on real RabbitMQ and Azurite."""
    if request.param == "embedded":
        return {"JOBFLEET_BACKEND": "embedded", "JOBFLEET_DATA_DIR": str(tmp_path / "data")}
    prefix = request.getfixturevalue("table_prefix")
    return {
        "JOBFLEET_BACKEND": "azure",
        "JOBFLEET_RABBITMQ_URL": request.getfixturevalue("rabbitmq").url,
        "JOBFLEET_STORAGE_CONNECTION_STRING": request.getfixturevalue("azurite").connection_string,
        "JOBFLEET_NAMESPACE": request.getfixturevalue("namespace"),
        "JOBFLEET_AUDIT_TABLE": prefix,
        "JOBFLEET_LOCK_CONTAINER": prefix.lower(),
    }


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
