"""Simulated time: one queue of callbacks for all event loops and servers of a run."""

from __future__ import annotations

from asyncio import events
from collections import deque
from collections.abc import Callable
from contextvars import Context
from heapq import heappop, heappush
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.simulation.virtual_loop import VirtualLoop


class Handle:
    """A callback of a loop that is to run: as much of asyncio's handles as its code asks for."""

    __slots__ = ("args", "callback", "context", "is_cancelled", "loop")

    def __init__(
        self,
        loop: VirtualLoop,
        callback: Callable[..., object],
        args: tuple[object, ...],
        context: Context,
    ) -> None:
        self.loop = loop
        self.callback = callback
        self.args = args
        self.context = context
        self.is_cancelled = False

    def cancel(self) -> None:
        """Pass it over when its time comes."""
        self.is_cancelled = True

    def cancelled(self) -> bool:
        """Whether it is passed over."""
        return self.is_cancelled


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

    def step(self) -> bool:
        """Run one callback; ``False`` where nothing is left."""
        if self._ready:
            handle = self._ready.popleft()
        elif self._later:
            when, _, item = heappop(self._later)
            self.now = max(self.now, when)
            if not isinstance(item, Handle):
                self.steps += 1
                item()
                return True
            handle = item
        else:
            return False
        loop = handle.loop
        if loop.frozen_until > self.now:
            self.at(loop.frozen_until, handle)
        elif not loop.dead and not handle.is_cancelled:
            self.steps += 1
            if loop is not self._current:
                self._current = loop
                events._set_running_loop(loop)
            try:
                handle.context.run(handle.callback, *handle.args)
            except (SystemExit, KeyboardInterrupt):
                raise
            except BaseException as error:  # noqa: BLE001 - as asyncio: the loop goes on
                context = {"message": f"Exception in {handle.callback!r}", "exception": error}
                loop.call_exception_handler(context)
        return True

    def leave(self) -> None:
        """Leave no loop behind as the running one."""
        self._current = None
        events._set_running_loop(None)
