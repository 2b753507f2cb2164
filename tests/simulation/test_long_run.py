"""The seeds of `make simulate`."""

from __future__ import annotations

import pytest

from tests.simulation.seeds import IN_A_LONG_RUN, IN_EVERY_TEST_RUN, failures

CHUNK = 500


@pytest.mark.simulation_long
@pytest.mark.parametrize("first", range(IN_EVERY_TEST_RUN, IN_A_LONG_RUN, CHUNK))
def test_the_promises_hold_in_many_seeds(first: int) -> None:
    assert not failures(range(first, first + CHUNK))
