"""Ctrl-C, SIGTERM and a closed terminal: the first asks for an orderly stop, the second ends us."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

import structlog

STDIN = 0
HANGUP = getattr(signal, "SIGHUP", None)
"""Sent when the terminal is closed; Windows has none."""
LOOK_SECONDS = 1.0
SIGNAL_RESTORED = "signal.restored"

_log = structlog.get_logger()


def end_at_next_signal() -> None:
    """Let each of the signals end the process at once; call it in the main thread.

    A closed terminal that is ignored stays ignored.
    """
    numbers = {signal.SIGTERM, signal.SIGINT}
    if HANGUP is not None and signal.getsignal(HANGUP) is not signal.SIG_IGN:
        numbers.add(HANGUP)
    for number in numbers:
        signal.signal(number, signal.SIG_DFL)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers)


class StopSignals:
    """Hands the wish to stop on to whatever runs; ``request`` must be thread-safe."""

    def __init__(self, *, request: Callable[[], object]) -> None:
        self._request = request
        self._actions: dict[int, Any] = {}
        self._warned: set[int] = set()

    def start(self) -> None:
        """Take the signals over; call it in the main thread. ``nohup`` keeps its effect."""
        for number in (signal.SIGTERM, signal.SIGINT):
            self._set(number, self._take)
        if HANGUP is not None:
            ignored = signal.getsignal(HANGUP) is signal.SIG_IGN
            self._set(HANGUP, signal.SIG_IGN if ignored else self._take)

    async def keep(self) -> None:
        """Undo for ever what user code does to the signals: a deaf process cannot be drained."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            self.restore()

    def restore(self) -> None:
        """Take back signals that other code has set or blocked; call it in the main thread."""
        if hasattr(signal, "pthread_sigmask"):
            signal.pthread_sigmask(signal.SIG_UNBLOCK, self._actions)
        for number, action in list(self._actions.items()):
            if signal.getsignal(number) == action:
                continue
            self._set(number, action)
            if number not in self._warned:
                self._warned.add(number)
                _log.warning(SIGNAL_RESTORED, signal=signal.Signals(number).name)

    def follow_parent(self) -> None:
        """Stop as well when standard input ends: the parent that holds its other end is gone."""
        threading.Thread(target=self._wait_for_parent, name="parent-watch", daemon=True).start()

    def _take(self, _number: int, _frame: FrameType | None) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            self._set(number, signal.SIG_DFL)
        if HANGUP is not None:  # it comes twice: from the terminal and from its shell
            self._set(HANGUP, signal.SIG_IGN)
        self._request()

    def _set(self, number: int, action: Any) -> None:
        self._actions[number] = action
        signal.signal(number, action)

    def _wait_for_parent(self) -> None:
        while os.read(STDIN, 1024):  # not sys.stdin: its lock would hold the interpreter's exit
            pass
        self._request()
