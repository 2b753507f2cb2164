"""Half of the seeds of every test run; files are what the test workers share out."""

from __future__ import annotations

import pytest

from tests.simulation.seeds import IN_EVERY_TEST_RUN, failures

CHUNK = 100


@pytest.mark.timeout(300)
@pytest.mark.parametrize("first", range(0, IN_EVERY_TEST_RUN, CHUNK))
def test_the_promises_hold_in_even_seeds(first: int) -> None:
    assert not failures(range(first, first + CHUNK, 2))
