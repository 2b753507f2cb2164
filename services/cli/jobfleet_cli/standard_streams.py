"""Standard output and error: nothing that users wrote steers a terminal, no log line ends us."""

from __future__ import annotations

import io
import os
import select
import sys
from contextlib import suppress
from typing import TextIO

from jobfleet_contracts.visible_text import visible_lines

STDOUT, STDERR = 1, 2


class TerminalStream(io.TextIOWrapper):
    """Shows control and format characters instead of obeying them, in any text that is printed."""

    def write(self, text: str) -> int:
        """Write the text made visible, line breaks and tabs kept."""
        super().write(visible_lines(text))
        return len(text)


class _Unrefused(io.RawIOBase):
    """Standard error's bytes: what the reader does not take is dropped; no command runs for it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream  # unreferenced, it would close the file number

    def write(self, data: bytes) -> int:  # type: ignore[override]
        with suppress(OSError):
            write_all(STDERR, bytes(data))
        return len(data)

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return STDERR

    def isatty(self) -> bool:
        return os.isatty(STDERR)


def open_standard_streams() -> None:
    """Put the streams of this process in order; call it before anything is printed."""
    _fill_closed_numbers()
    if sys.stdout.isatty():
        sys.stdout = _terminal(sys.stdout)
    kind = TerminalStream if os.isatty(STDERR) else io.TextIOWrapper
    sys.stderr = kind(
        _Unrefused(sys.stderr),  # type: ignore[arg-type]
        encoding=sys.stderr.encoding,
        errors="backslashreplace",
        write_through=True,
    )


def terminal_output() -> TextIO:
    """Return standard output for a program that styles: its escape sequences are obeyed.

    What users wrote must be made visible before it goes there.
    """
    if not isinstance(sys.stdout, TerminalStream):
        return sys.stdout
    sys.stdout.flush()
    return open(STDOUT, "w", encoding=sys.stdout.encoding, newline="", closefd=False)


def announce(text: str) -> None:
    """Print one line of a service on standard output; it may have no reader."""
    try:
        print(text, flush=True)
    except OSError:
        discard_output()


def write_all(number: int, data: bytes) -> None:
    """Write all bytes to a file number; wait where another process made it non-blocking."""
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[os.write(number, rest) :]
        except BlockingIOError:
            select.select([], [number], [], 1.0)


def discard_output() -> None:
    """Send what standard output still holds nowhere; else the interpreter's exit fails at it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), STDOUT)


def _terminal(stream: TextIO) -> TextIO:
    encoding = stream.encoding
    return TerminalStream(
        stream.detach(),  # type: ignore[attr-defined]
        encoding=encoding,
        errors="backslashreplace",
        line_buffering=True,
    )


def _fill_closed_numbers() -> None:
    """Where one is closed its number would go to the next file: libuv ends the process then."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
            setattr(sys, name, os.fdopen(number, "w" if number else "r", closefd=False))
