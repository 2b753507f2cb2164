"""Cancel requests on their way to all workers; some are lost."""

from __future__ import annotations

import asyncio
from collections import deque
from random import Random

from tests.simulation.faults import Faults
from tests.simulation.process import Process
from tests.simulation.wire import Wire

_LOST = 0.3


class ControlExchange:
    """A fan-out without persistence."""

    def __init__(self, *, faults: Faults, seed: int) -> None:
        self._faults = faults
        self._dice = Random(f"control/{seed}")
        self._listeners: list[tuple[Process, Cancels]] = []

    def listen(self, process: Process) -> Cancels:
        """Add a listener."""
        cancels = Cancels()
        self._listeners.append((process, cancels))
        return cancels

    def send(self, job_id: str) -> None:
        """Tell whoever listens; while there are faults not all of them hear it."""
        self._listeners = [(p, c) for p, c in self._listeners if p.is_alive]
        for _, cancels in self._listeners:
            if self._faults.is_calm or self._dice.random() > _LOST:
                cancels.put(job_id)


class Cancels:
    """An endless iterator of job ids."""

    def __init__(self) -> None:
        self._come: deque[str] = deque()
        self._waiting: asyncio.Future[None] | None = None

    def put(self, job_id: str) -> None:
        """Add one."""
        self._come.append(job_id)
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    def __aiter__(self) -> Cancels:
        return self

    async def __anext__(self) -> str:
        while not self._come:
            self._waiting = asyncio.get_running_loop().create_future()
            await self._waiting
        return self._come.popleft()


class FakeControlChannel:
    """The port, as one process uses it."""

    def __init__(self, *, exchange: ControlExchange, wire: Wire) -> None:
        self._exchange = exchange
        self._wire = wire

    async def send_cancel(self, job_id: str) -> None:
        """Tell every worker."""
        await self._wire.write(
            "control.cancel",
            lambda: self._exchange.send(job_id),
            about=job_id[-4:],
            service="broker",
        )

    def cancels(self) -> Cancels:
        """Listen from now on."""
        return self._exchange.listen(self._wire.process)
