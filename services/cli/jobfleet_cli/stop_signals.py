"""Ctrl-C, SIGTERM and a closed terminal: the first asks for an orderly stop, the second ends us."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType

STDIN = 0
HANGUP = getattr(signal, "SIGHUP", None)
"""Sent when the terminal is closed; Windows has none."""


class StopSignals:
    """Hands the wish to stop on to whatever runs; ``request`` must be thread-safe."""

    def __init__(self, *, request: Callable[[], object]) -> None:
        self._request = request

    def start(self) -> None:
        """Take the signals over; call it in the main thread. ``nohup`` keeps its effect."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._take)
        if HANGUP is not None and signal.getsignal(HANGUP) is not signal.SIG_IGN:
            signal.signal(HANGUP, self._take)

    def follow_parent(self) -> None:
        """Stop as well when standard input ends: the parent that holds its other end is gone."""
        threading.Thread(target=self._wait_for_parent, name="parent-watch", daemon=True).start()

    def _take(self, _number: int, _frame: FrameType | None) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        if HANGUP is not None:  # it comes twice: from the terminal and from its shell
            signal.signal(HANGUP, signal.SIG_IGN)
        self._request()

    def _wait_for_parent(self) -> None:
        while os.read(STDIN, 1024):  # not sys.stdin: its lock would hold the interpreter's exit
            pass
        self._request()
