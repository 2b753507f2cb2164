"""Counts what a JSON text holds without building any of it."""

from __future__ import annotations

MAX_VALUES = 100_000
"""Values and names in one job request. Building and checking more takes seconds, not bytes."""

_STRUCTURE = (b",", b":", b"[", b"{")


class JsonCounter:
    """Counts values and names of a JSON text that arrives in pieces.

    A text that is not JSON gets some number: up to its first error the count is right, and the
    decoder builds nothing after that.
    """

    def __init__(self) -> None:
        self.values = 1
        self._inside_string = False
        self._held = b""

    def feed(self, piece: bytes) -> None:
        """Count one more piece; it may end anywhere, also within an escape."""
        text = self._held + piece
        odd = (len(text) - len(text.rstrip(b"\\"))) % 2
        self._held = text[len(text) - odd :]
        text = text[: len(text) - odd].replace(b"\\\\", b"").replace(b'\\"', b"")
        parts = text.split(b'"')
        outside = b"".join(parts[int(self._inside_string) :: 2])
        self._inside_string ^= len(parts) % 2 == 0
        self.values += sum(outside.count(mark) for mark in _STRUCTURE)
