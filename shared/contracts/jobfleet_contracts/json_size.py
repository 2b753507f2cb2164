"""Counts what a JSON text holds without building any of it."""

from __future__ import annotations

from jobfleet_contracts.errors import InvalidRequest

MAX_VALUES = 100_000
"""Values and names in one job request. Building and checking more takes seconds, not bytes."""
MAX_FOREIGN_BYTES = 4 * 1024 * 1024
"""Limit of a message that another program has put into a queue."""

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


def check_foreign_size(body: bytes) -> None:
    """Check a message that any program may have written before anything is built of it.

    Decoded, a text can take thirty times its bytes. A worker that dies of that is followed by the
    next one that takes the message.

    Raises:
        InvalidRequest: it has more than 4 MiB, or more than 100,000 values and names.
    """
    if len(body) > MAX_FOREIGN_BYTES:
        raise InvalidRequest(
            f"the body has {len(body):,} bytes; at most {MAX_FOREIGN_BYTES:,} are allowed; "
            "pass a reference to large data",
            field="body",
        )
    if len(body) <= MAX_VALUES:  # each value takes a byte at least
        return
    counter = JsonCounter()
    counter.feed(body)
    if counter.values > MAX_VALUES:
        raise InvalidRequest(
            f"the body has {counter.values:,} values; at most {MAX_VALUES:,} are allowed; "
            "pass a reference to large data",
            field="body",
        )
