"""Names, lanes and delay steps."""

from datetime import timedelta

import pytest

from jobfleet_backends.rabbitmq.topology import Topology
from jobfleet_contracts.delay_steps import delay_step
from jobfleet_contracts.job import lane_of


@pytest.mark.parametrize(
    ("priority", "lane"),
    [(0, "low"), (2, "low"), (3, "normal"), (6, "normal"), (7, "high"), (9, "high")],
)
def test_a_priority_belongs_to_the_lane_that_the_interface_names(priority: int, lane: str) -> None:
    assert lane_of(priority) == lane


@pytest.mark.parametrize(
    ("seconds", "step"),
    [(-5, 1), (0, 1), (0.5, 1), (4.9, 1), (5, 5), (59, 30), (60, 60), (7200, 3600)],
)
def test_a_delay_takes_the_largest_step_that_fits(seconds: float, step: int) -> None:
    assert delay_step(timedelta(seconds=seconds)) == step


def test_every_name_carries_the_namespace() -> None:
    topology = Topology(namespace="fleet")
    names = [
        topology.lane_queue("mail", "high"),
        topology.to_delay(5, "mail", "low").exchange,
        topology.to_dead().routing_key,
        topology.events,
        topology.to_control().exchange,
    ]
    assert names == [
        "fleet.jobs.mail.high",
        "fleet.delay.5",
        "fleet.dead",
        "fleet.events",
        "fleet.control",
    ]
