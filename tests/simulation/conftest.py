"""Thousands of simulated runs in one test take their time on a small machine."""

import pytest

SECONDS = 1200


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give the simulation's tests a longer limit than the others."""
    for item in items:
        if "tests/simulation/" in item.path.as_posix():
            item.add_marker(pytest.mark.timeout(SECONDS))
