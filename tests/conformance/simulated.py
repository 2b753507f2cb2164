"""The fakes of the simulation as one more backend: in real seconds, and without faults.

Their ports are held to the suites of the real ones. Of the index's reader these are the questions
that protocol and workers ask; the fake has no others.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

from jobfleet_backends.system_clock import SystemClock
from jobfleet_contracts.backend import Backend
from tests.simulation.faults import Fate, Faults
from tests.simulation.journal import Journal
from tests.simulation.process import Process
from tests.simulation.scenario import Scenario
from tests.simulation.servers import Servers


class RealTime:
    """Stands for the virtual time of a run."""

    @property
    def now(self) -> float:
        return time.monotonic()

    def after(self, seconds: float, event: Callable[[], None]) -> None:
        asyncio.get_running_loop().call_later(seconds, event)


class RealProcess(Process):
    """A process of the test; its loop is that of whoever asks."""

    @property
    def is_alive(self) -> bool:
        return True

    @property
    def loop(self) -> Any:
        return asyncio.get_running_loop()

    @loop.setter
    def loop(self, virtual: Any) -> None:
        """Keep none."""

    @property
    def renewal_loop(self) -> Any:
        return asyncio.get_running_loop()

    @renewal_loop.setter
    def renewal_loop(self, virtual: Any) -> None:
        """Keep none."""


class NoFaults(Faults):
    """Carries every request out once, and at once."""

    def fate(self, process: Process, service: str, *, writes: bool, hasty: bool) -> Fate:
        return Fate("ok", (0.0,), 0, 0.0)


class Simulated:
    """The servers of one test; each process opens them anew."""

    def __init__(self) -> None:
        self._time = passing = cast("Any", RealTime())
        scenario = replace(Scenario.of(0), one_database=True)
        faults = NoFaults(scenario=scenario, time=passing)
        faults.calm()
        journal = Journal(time=passing)
        self._servers = Servers(scenario=scenario, time=passing, faults=faults, journal=journal)
        self._processes = 0

    async def open(self) -> Backend:
        self._processes += 1
        name, clock = f"process-{self._processes}", cast("Any", SystemClock())
        process = RealProcess(name=name, time=self._time, clock=clock)

        async def close() -> None:
            self._servers.control.leave(process)
            broker = self._servers.broker
            for consumer in broker.consumers():
                if consumer.process is process:
                    broker.disconnect(consumer)

        return replace(self._servers.backend(process), close=close)
