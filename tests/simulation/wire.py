"""The way of a request from a process to a server and back, with what may befall it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from jobfleet_contracts.errors import BackendUnavailable
from tests.simulation.faults import Fate, Faults
from tests.simulation.journal import Journal
from tests.simulation.process import Process
from tests.simulation.virtual_time import VirtualTime

T = TypeVar("T")


class Wire:
    """Carries the requests of one process.

    Attributes:
        hasty: requests have the short time limits of the renewal thread.
    """

    def __init__(
        self,
        *,
        process: Process,
        time: VirtualTime,
        faults: Faults,
        journal: Journal,
        hasty: bool = False,
    ) -> None:
        self.process = process
        self._time = time
        self._faults = faults
        self._journal = journal
        self._hasty = hasty

    def in_haste(self) -> Wire:
        """Return the wire of the renewal thread."""
        return Wire(
            process=self.process,
            time=self._time,
            faults=self._faults,
            journal=self._journal,
            hasty=True,
        )

    def read(
        self, operation: str, ask: Callable[[], T], *, about: str = "", service: str = "storage"
    ) -> asyncio.Future[T]:
        """Ask a server."""
        return self._send(operation, ask, about, service, writes=False)

    def write(
        self, operation: str, act: Callable[[], T], *, about: str = "", service: str = "storage"
    ) -> asyncio.Future[T]:
        """Have a server do something; it may be done, not be done, or be done twice."""
        return self._send(operation, act, about, service, writes=True)

    def meets_own_error(self) -> bool:
        """Whether the process meets an error of its own code now."""
        met = self._faults.own_error(self.process)
        if met:
            self._journal.note(self.process.name, "fault", "own error")
        return met

    def _send(
        self, operation: str, act: Callable[[], Any], about: str, service: str, *, writes: bool
    ) -> asyncio.Future[Any]:
        process = self.process
        loop = process.renewal_loop if self._hasty else process.loop
        future: asyncio.Future[Any] = loop.create_future()
        if process.is_mute:
            return future
        fate = self._faults.fate(process, service, writes=writes, hasty=self._hasty)
        self._faults.met[fate.kind] += 1
        if fate.kind != "ok":
            self._journal.note(process.name, "fault", operation, fate.kind, about)
        if fate.crash:
            process.crash()
            if fate.crash == "before":
                return future
        arrivals = [
            (seconds, _Arrival(self, operation, about, act, fate, number, loop, future))
            for number, seconds in enumerate(fate.arrivals)
        ]
        if fate.stall:
            process.pause(fate.stall, lag=0.3)
            self._faults.sleeps(process, fate.stall)
            wakes_after = loop.frozen_until - self._time.now
            self._time.after(wakes_after, lambda: self._wake(process, arrivals))
        else:
            self._depart(arrivals)
        if fate.answer < 0:
            error = BackendUnavailable(f"{operation}: {fate.kind}")
            self.reply(loop, future, fate.reply, error=error)
        return future

    def _wake(self, process: Process, arrivals: Sequence[tuple[float, _Arrival]]) -> None:
        if process.is_alive:
            self._depart(arrivals)

    def _depart(self, arrivals: Sequence[tuple[float, _Arrival]]) -> None:
        for seconds, arrive in arrivals:
            self._time.after(seconds, arrive)

    def reply(
        self,
        loop: Any,
        future: asyncio.Future[Any],
        seconds: float,
        *,
        result: Any = None,
        error: Exception | None = None,
    ) -> None:
        """Let the caller have the answer after a while."""
        loop.call_at(self._time.now + seconds, _settle, future, result, error)

    def note(self, operation: str, *details: Any) -> None:
        """Write into the journal what a server did for this process."""
        self._journal.note(self.process.name, operation, *details)


def _settle(future: asyncio.Future[Any], result: Any, error: Exception | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)


class _Arrival:
    """One copy of a request reaches its server."""

    __slots__ = ("about", "act", "fate", "future", "loop", "number", "operation", "wire")

    def __init__(
        self,
        wire: Wire,
        operation: str,
        about: str,
        act: Callable[[], Any],
        fate: Fate,
        number: int,
        loop: Any,
        future: asyncio.Future[Any],
    ) -> None:
        self.wire = wire
        self.operation = operation
        self.about = about
        self.act = act
        self.fate = fate
        self.number = number
        self.loop = loop
        self.future = future

    def __call__(self) -> None:
        result: Any = None
        error: Exception | None = None
        try:
            result = self.act()
        except Exception as refusal:  # noqa: BLE001 - the caller gets it, whatever it is
            # Else frame and error hold each other, which only a collection can free.
            error = refusal.with_traceback(None)
        if self.operation not in _QUIET:
            outcome = "" if error is None else type(error).__name__
            self.wire.note(self.operation, self.about, outcome)
        if self.number == self.fate.answer:
            self.wire.reply(self.loop, self.future, self.fate.reply, result=result, error=error)


_QUIET = frozenset({"lock.leased", "queue.depths", "open.list", "directory.beat"})
