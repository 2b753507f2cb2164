"""The thread that blocking user code runs in."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from jobfleet_contracts.own_thread import in_own_thread

T = TypeVar("T")


class UserThread(threading.Thread):
    """A daemon thread, in which user code starts threads as it does in a program's main thread.

    A new thread is a daemon if the one that starts it is. A thread that a handler left would end
    with the process, unfinished and unnamed. To its own code this thread is none.
    """

    _runs = False

    def run(self) -> None:
        """Run the target."""
        self._runs = True
        try:
            super().run()
        finally:
            self._runs = False

    @property
    def daemon(self) -> bool:  # type: ignore[override]
        """False if this thread itself asks, as the making of a thread does."""
        # Before `run`, the thread that starts this one asks and needs the truth.
        if self._runs and threading.get_ident() == self.ident:
            return False
        return super().daemon


def in_user_thread(call: Callable[..., T], /, *values: Any, name: str) -> asyncio.Future[T]:
    """Run user code in a :class:`UserThread` of its own; else like :func:`in_own_thread`."""
    return in_own_thread(call, *values, name=name, kind=UserThread)
