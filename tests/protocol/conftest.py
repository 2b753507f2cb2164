"""A bench per test; the trails on it are in order when the test is over."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.protocol.bench import Bench, opened


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with opened(tmp_path) as found:
        yield found
