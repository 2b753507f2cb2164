"""People who ask again: an answer to one try does not end the others."""

from __future__ import annotations

from datetime import timedelta

from jobfleet_contracts.state import State
from tests.simulation.client_calls import ClientCall
from tests.simulation.process import Process, ProcessClock
from tests.simulation.simulation import Simulation
from tests.simulation.virtual_time import VirtualTime
from tests.simulation.workload import Wish

_MUCH_SLEEP = {
    "lease_seconds": 60,
    "stall_rate": 0.1,
    "fault_rate": 0.3,
    "jobs": 9,
    "operator_action_seconds": 15,
    "clock_steps": False,
    "lacking": 0,
}


def test_a_wish_is_over_once_no_try_sleeps_in_a_live_process() -> None:
    time = VirtualTime()
    clock = ProcessClock(time=time, wall_offset=timedelta(), boot_offset=0)
    process = Process(name="api0.1", time=time, clock=clock)
    call = ClientCall(Wish(at=0, verb="declare", tag="schedule-0"))
    call.under_way["schedule-0.1"] = process
    call.granted["schedule-0.0"] = State.QUEUED
    assert call.is_done
    assert not call.is_over
    process.crash()
    assert call.is_over


def test_a_schedule_is_not_declared_again_by_a_try_that_slept_through_its_removal() -> None:
    verdict = Simulation(seed=17, emphasis=_MUCH_SLEEP).run()
    assert verdict.faults == []
