"""The way of a request from a process to a server and back, with what may befall it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
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
        arrive = partial(self._arrive, operation, about, act, loop, future, fate)
        if fate.stall:
            process.pause(fate.stall, lag=0.3)
            self._faults.sleeps(process, fate.stall)
            wakes_after = loop.frozen_until - self._time.now
            self._time.after(wakes_after, lambda: self._wake(process, arrive, fate))
        else:
            self._depart(arrive, fate)
        if fate.answer < 0:
            error = BackendUnavailable(f"{operation}: {fate.kind}")
            self.reply(loop, future, fate.reply, error=error)
        return future

    def _wake(self, process: Process, arrive: Callable[[int], None], fate: Fate) -> None:
        if process.is_alive:
            self._depart(arrive, fate)

    def _depart(self, arrive: Callable[[int], None], fate: Fate) -> None:
        """Send the copies of a request on their way; each arrives with its number."""
        for number, seconds in enumerate(fate.arrivals):
            self._time.after(seconds, partial(arrive, number))

    def _arrive(
        self,
        operation: str,
        about: str,
        act: Callable[[], Any],
        loop: Any,
        future: asyncio.Future[Any],
        fate: Fate,
        number: int,
    ) -> None:
        """Have the server carry out one copy of a request."""
        result: Any = None
        error: Exception | None = None
        try:
            result = act()
        except Exception as refusal:  # noqa: BLE001 - the caller gets it, whatever it is
            # Else frame and error hold each other, which only a collection can free.
            error = refusal.with_traceback(None)
        if operation not in _QUIET:
            outcome = "" if error is None else type(error).__name__
            self._journal.note(self.process.name, operation, about, outcome)
        if number == fate.answer:
            self.reply(loop, future, fate.reply, result=result, error=error)

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


_QUIET = frozenset({"lock.leased", "queue.depths", "open.list", "directory.beat"})
