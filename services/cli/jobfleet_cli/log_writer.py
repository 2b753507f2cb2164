"""Writes log lines in a thread of its own, so that the logging code never waits and never fails."""

from __future__ import annotations

import atexit
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from multiprocessing import parent_process
from multiprocessing.util import Finalize
from typing import Any, TextIO
from weakref import WeakSet

from structlog.typing import EventDict

from jobfleet_cli.standard_streams import write_all

LINES_DROPPED = "log.lines_dropped"
QUEUED_LINES = 10_000
LAST = -100
EXIT_SECONDS = 2.0
"""How long the process's end waits for lines that are still queued."""

Render = Callable[[Any, str, EventDict], str]


class LogWriter:
    """Hands lines to one destination.

    A line is dropped, and counted, if the destination refuses it or if 10,000 lines wait for one
    that does not take any. The next line that is written follows a line with the number.
    """

    def __init__(
        self, put: Callable[[str], None], *, render: Render, limit: int = QUEUED_LINES
    ) -> None:
        """Start no thread yet: the first line does.

        Args:
            put: writes one line; it may block, and may raise ``OSError`` or ``ValueError``.
            render: turns the entry that tells of dropped lines into a line.
        """
        self.dropped = 0
        self._put = put
        self._render = render
        self._limit = limit
        self._reported = 0
        self._begin()
        _writers.add(self)

    def write(self, line: str) -> None:
        """Queue one line, its end of line left out; return at once, whatever the destination does.

        structlog's ``WriteLogger`` writes here as to a file.
        """
        if _ended.is_set():  # a new thread would never start, and the old one may hold the lock
            self.dropped += 1
            return
        with self._changed:
            if len(self._lines) >= self._limit:
                self.dropped += 1
                return
            self._lines.append(line.removesuffix("\n"))
            if self._thread is None:
                self._start()
            self._changed.notify_all()

    def flush(self) -> None:
        """Do nothing: structlog calls it after each line."""

    def drain(self, seconds: float = EXIT_SECONDS) -> None:
        """Wait until what is queued is written, for so long at most."""
        with self._changed:
            self._changed.wait_for(lambda: not self._lines, timeout=seconds)

    def _begin(self) -> None:
        self._lines: deque[str] = deque()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)
        self._thread.start()
        if parent_process() is not None:  # its end does not call what atexit holds
            Finalize(None, drain_logs, exitpriority=LAST)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._lines)
                line = self._lines[0]
            self._write(line)
            with self._changed:
                self._lines.popleft()  # only now: drain() returns once the line is written
                self._changed.notify_all()

    def _write(self, line: str) -> None:
        try:
            if self.dropped > self._reported:
                count = self.dropped - self._reported
                self._put(self._notice(count))
                self._reported += count
            self._put(line)
        except (OSError, ValueError):  # a full disk, no reader, a stream that was closed
            with self._changed:
                self.dropped += 1

    def _notice(self, count: int) -> str:
        moment = datetime.now(UTC).isoformat()
        entry: EventDict = {
            "timestamp": moment,
            "level": "warning",
            "event": LINES_DROPPED,
            "lines": count,
        }
        return self._render(None, "warning", entry)


_writers: WeakSet[LogWriter] = WeakSet()
_ended = threading.Event()
"""Set at the interpreter's exit. Objects that it collects afterwards may still log."""


def dropped_lines() -> int:
    """Return how many log lines this process has dropped."""
    return sum(writer.dropped for writer in _writers)


def stream_writer(stream: TextIO) -> Callable[[str], None]:
    """Return what writes a line to a stream at once, past its buffer if it has a file number.

    A buffer would keep a refused line, and the interpreter's exit would fail at it.
    """
    try:
        number = stream.fileno()
    except (OSError, ValueError):
        return lambda line: _to_stream(stream, line)
    return lambda line: write_all(number, f"{line}\n".encode(errors="backslashreplace"))


def _to_stream(stream: TextIO, line: str) -> None:
    stream.write(line + "\n")
    stream.flush()


def drain_logs(seconds: float = EXIT_SECONDS) -> None:
    """Wait until the queued lines of this process are written, for so long at most."""
    end = time.monotonic() + seconds
    for writer in list(_writers):
        writer.drain(max(end - time.monotonic(), 0.0))


def reopen_logs() -> None:
    """Let lines be written again while callbacks of ``atexit`` hold up the interpreter's exit."""
    _ended.clear()


def _end() -> None:
    drain_logs()
    _ended.set()


def _after_fork() -> None:
    """A child has no thread of its parent's, and its copy of the queue belongs to the parent."""
    for writer in list(_writers):
        writer._begin()


atexit.register(_end)
with suppress(AttributeError):  # Windows cannot fork
    os.register_at_fork(after_in_child=_after_fork)
