"""Hints on their way to all workers; some are lost."""

from __future__ import annotations

import asyncio
from collections import deque
from random import Random
from typing import Any, Generic, NamedTuple, TypeVar

from jobfleet_contracts.control import ControlSubject
from tests.simulation.faults import Faults
from tests.simulation.process import Process
from tests.simulation.wire import Wire

_LOST = 0.3
Hint = TypeVar("Hint")


class _Change(NamedTuple):
    subject: ControlSubject
    name: str


class ControlExchange:
    """A fan-out without persistence."""

    def __init__(self, *, faults: Faults, seed: int) -> None:
        self._faults = faults
        self._dice = Random(f"control/{seed}")
        self._listeners: list[tuple[Process, Hints[Any]]] = []

    def listen(self, process: Process, kind: type[Hint]) -> Hints[Hint]:
        """Add a listener for hints of one kind."""
        hints = Hints[Hint](kind)
        self._listeners.append((process, hints))
        return hints

    def leave(self, process: Process) -> None:
        """End what a process listens to."""
        for listener, hints in self._listeners:
            if listener is process:
                hints.end()

    def send(self, hint: object) -> None:
        """Tell the listeners; while there are faults not all of them hear it."""
        self._listeners = [(p, hints) for p, hints in self._listeners if p.is_alive]
        for _, hints in self._listeners:
            if isinstance(hint, hints.kind) and (
                self._faults.is_calm or self._dice.random() > _LOST
            ):
                hints.put(hint)


class Hints(Generic[Hint]):
    """The hints that come until it is ended."""

    def __init__(self, kind: type[Hint]) -> None:
        self.kind = kind
        self._come: deque[Hint] = deque()
        self._waiting: asyncio.Future[None] | None = None
        self._is_ended = False

    def put(self, hint: Hint) -> None:
        """Add one."""
        self._come.append(hint)
        self._wake()

    def end(self) -> None:
        """Take no more."""
        self._is_ended = True
        self._wake()

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    def __aiter__(self) -> Hints[Hint]:
        return self

    async def __anext__(self) -> Hint:
        while not self._come:
            if self._is_ended:
                raise StopAsyncIteration
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

    def cancels(self) -> Hints[str]:
        """Listen from now on."""
        return self._exchange.listen(self._wire.process, str)

    async def announce_change(self, subject: ControlSubject, name: str) -> None:
        """Tell every worker."""
        await self._wire.write(
            "control.change",
            lambda: self._exchange.send(_Change(subject, name)),
            about=f"{subject} {name}",
            service="broker",
        )

    def changes(self) -> Hints[tuple[ControlSubject, str]]:
        """Listen from now on."""
        return self._exchange.listen(self._wire.process, _Change)
