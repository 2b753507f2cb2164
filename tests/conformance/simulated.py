"""The fakes of the simulation as one more backend: in real seconds, and without faults.

Their ports are held to the suites of the real ones. The index's readers are not among them: the
fake has only those that protocol and workers ask.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RealProcess:
    """Stands for a process of a run; its loop is that of whoever asks."""

    name: str
    clock: SystemClock = field(default_factory=SystemClock)
    worker: None = None
    is_alive: bool = True
    is_old: bool = False

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    renewal_loop = loop


class NoFaults(Faults):
    """Carries every request out once, and at once."""

    def fate(self, process: Process, service: str, *, writes: bool, hasty: bool) -> Fate:
        return Fate("ok", (0.0,), 0, 0.0)


class Simulated:
    """The servers of one test; each process opens them anew."""

    def __init__(self) -> None:
        passing: Any = RealTime()
        scenario = Scenario.of(0)
        faults = NoFaults(scenario=scenario, time=passing)
        faults.calm()
        journal = Journal(time=passing)
        self._servers = Servers(scenario=scenario, time=passing, faults=faults, journal=journal)
        self._processes = 0

    async def open(self) -> Backend:
        self._processes += 1
        process = cast("Any", RealProcess(name=f"process-{self._processes}"))

        async def close() -> None:
            self._servers.control.leave(process)
            broker = self._servers.broker
            for consumer in broker.consumers():
                if consumer.process is process:
                    broker.disconnect(consumer)

        return replace(self._servers.backend(process), close=close)
