"""When each job was sent and started, in a file that all worker processes append to."""

from __future__ import annotations

import os
import struct
import time
from dataclasses import dataclass
from pathlib import Path

VARIABLE = "BENCH_TICKS"
_TICK = struct.Struct("dd")
_descriptor: int | None = None


def tick(sent: float) -> None:
    """Note a start; 16 bytes in one append, which is whole whatever other processes do."""
    global _descriptor  # noqa: PLW0603 - one file per process, opened at its first job
    if _descriptor is None:
        _descriptor = os.open(os.environ[VARIABLE], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(_descriptor, _TICK.pack(sent, time.time()))


@dataclass(frozen=True, slots=True)
class Tick:
    """Wall times in seconds since 1970."""

    sent: float
    started: float


class TickFile:
    """The reader's side."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.touch()

    def count(self) -> int:
        """Return the jobs started so far."""
        return self.path.stat().st_size // _TICK.size

    def ticks(self) -> list[Tick]:
        """Return all of them in the order in which they were written."""
        return [Tick(*fields) for fields in _TICK.iter_unpack(self.path.read_bytes())]
