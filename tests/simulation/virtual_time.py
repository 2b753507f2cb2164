"""Simulated time: one queue of callbacks for all event loops and servers of a run."""

from __future__ import annotations

import heapq
from asyncio import events
from collections import deque
from collections.abc import Callable
from itertools import count
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from tests.simulation.virtual_loop import VirtualLoop


class Runnable(Protocol):
    """What asyncio calls a handle."""

    _cancelled: bool

    def _run(self) -> None: ...


class VirtualTime:
    """Runs what is due, in the order of time; nothing ever waits.

    Attributes:
        now: simulated seconds since the run began.
        steps: callbacks run so far.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self.steps = 0
        self._order = count()
        self._ready: deque[tuple[VirtualLoop, Runnable]] = deque()
        self._later: list[tuple[float, int, VirtualLoop | None, Callable[[], None] | Runnable]] = []
        self._current: VirtualLoop | None = None

    def soon(self, loop: VirtualLoop, handle: Runnable) -> None:
        """Run a loop's handle as soon as those before it have run."""
        self._ready.append((loop, handle))

    def at(self, when: float, loop: VirtualLoop, handle: Runnable) -> None:
        """Run a loop's handle at a time, or when the loop's process runs again."""
        heapq.heappush(self._later, (when, next(self._order), loop, handle))

    def after(self, seconds: float, event: Callable[[], None]) -> None:
        """Let something happen in the world outside all processes."""
        heapq.heappush(self._later, (self.now + seconds, next(self._order), None, event))

    def step(self) -> bool:
        """Run one callback; ``False`` where nothing is left."""
        if self._ready:
            loop, handle = self._ready.popleft()
        elif self._later:
            when, _, owner, item = heapq.heappop(self._later)
            self.now = max(self.now, when)
            if owner is None:
                self.steps += 1
                item()  # type: ignore[operator]
                return True
            loop, handle = owner, item  # type: ignore[assignment]
        else:
            return False
        if loop.frozen_until > self.now:
            self.at(loop.frozen_until, loop, handle)
        elif not loop.dead and not handle._cancelled:
            self._run(loop, handle)
        return True

    def leave(self) -> None:
        """Leave no loop behind as the running one."""
        self._current = None
        events._set_running_loop(None)

    def _run(self, loop: VirtualLoop, handle: Runnable) -> None:
        self.steps += 1
        if loop is not self._current:
            self._current = loop
            events._set_running_loop(loop)
        handle._run()
