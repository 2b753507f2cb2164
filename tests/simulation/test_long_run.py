"""The seeds of `make simulate`; `SIMULATION_FIRST_SEED` chooses others than the usual ones."""

from __future__ import annotations

import os

import pytest

from tests.simulation.seeds import IN_A_LONG_RUN, IN_EVERY_TEST_RUN, failures

CHUNK = 500
FIRST = int(os.environ.get("SIMULATION_FIRST_SEED", IN_EVERY_TEST_RUN))


@pytest.mark.simulation_long
@pytest.mark.parametrize("first", range(FIRST, FIRST + IN_A_LONG_RUN - IN_EVERY_TEST_RUN, CHUNK))
def test_the_promises_hold_in_many_seeds(first: int) -> None:
    assert not failures(range(first, first + CHUNK))
