"""One target server for each test."""

from collections.abc import AsyncIterator

import pytest

from tests.worker.outbound.target_server import TargetServer


@pytest.fixture
async def target() -> AsyncIterator[TargetServer]:
    """A server on loopback that answers 200 until told otherwise."""
    server = TargetServer()
    await server.start()
    yield server
    await server.stop()
