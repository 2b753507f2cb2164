"""Simulated time: one queue of callbacks for all event loops and servers of a run."""

from __future__ import annotations

from asyncio import events
from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.simulation.virtual_loop import VirtualLoop

_A_WHILE = 1024
"""Steps."""


class Handle(list[Any]):
    """A callback of a loop that is to run: the loop, the callback, its arguments and its context.

    As much of asyncio's handles as its code asks for. A run makes thousands: a list is made and
    read faster than an object with attributes. One that is cancelled has no callback any more.
    """

    __slots__ = ()

    def cancel(self) -> None:
        """Pass it over when its time comes."""
        self[1] = None

    def cancelled(self) -> bool:
        """Whether it is passed over."""
        return self[1] is None


class VirtualTime:
    """Runs what is due, in the order of time; nothing ever waits.

    Attributes:
        now: simulated seconds since the run began.
        steps: callbacks run so far.
        soon: runs a loop's handle as soon as those before it have run.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self.steps = 0
        self._order = count()
        self._ready: deque[Handle] = deque()
        self.soon = self._ready.append
        self._later: list[tuple[float, int, Handle | Callable[[], None]]] = []
        self._current: VirtualLoop | None = None

    def at(self, when: float, handle: Handle) -> None:
        """Run a loop's handle at a time, or when the loop's process runs again."""
        heappush(self._later, (when, next(self._order), handle))

    def after(self, seconds: float, event: Callable[[], None]) -> None:
        """Let something happen in the world outside all processes."""
        heappush(self._later, (self.now + seconds, next(self._order), event))

    def run_until(self, is_over: Callable[[], bool]) -> None:
        """Run callbacks until ``is_over`` or nothing is left.

        Args:
            is_over: asked whenever the time may move on, and now and then where it does not.
        """
        ready, later = self._ready, self._later
        while (ready or later) and not is_over():
            if not ready:
                when, _, item = heappop(later)
                if when > self.now:  # noqa: PLR1730 - `max` takes longer, at each step
                    self.now = when
                if not isinstance(item, Handle):
                    self.steps += 1
                    item()
                    continue
                ready.append(item)
            while ready:
                handle = ready.popleft()
                loop, callback, args, context = handle
                if loop.frozen_until > self.now:
                    self.at(loop.frozen_until, handle)
                    continue
                if loop.dead or callback is None:
                    continue
                self.steps += 1
                if loop is not self._current:
                    self._current = loop
                    events._set_running_loop(loop)
                try:
                    context.run(callback, *args)
                except (SystemExit, KeyboardInterrupt):
                    raise
                except BaseException as error:  # noqa: BLE001 - as asyncio: the loop goes on
                    message = f"Exception in {callback!r}"
                    loop.call_exception_handler({"message": message, "exception": error})
                if not self.steps % _A_WHILE:
                    break

    def leave(self) -> None:
        """Leave no loop behind as the running one."""
        self._current = None
        events._set_running_loop(None)
