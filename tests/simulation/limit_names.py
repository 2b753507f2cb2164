"""Which named limits the jobs of a run name, drawn by seed."""

from __future__ import annotations

from random import Random

from tests.simulation.scenario import Scenario

API, DISK = "api", "disk"


def limits_of_job(scenario: Scenario, number: int) -> list[str]:
    """Return the limits that a job names; most name one, some two."""
    if not scenario.limits:
        return []
    dice = Random(f"limits of jobs/{scenario.seed}/{number}")
    return dice.choice(([API], [API], [API], [DISK, API], [DISK], []))
