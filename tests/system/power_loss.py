"""What a machine without power forgets: everything that was written and not synced."""

from __future__ import annotations

import os
import struct
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

_HEAD = struct.Struct("=c3xIqqq")
"""As ``struct record`` in power_loss.c."""


@dataclass(frozen=True, slots=True)
class Write:
    """One write that no sync covered."""

    path: Path
    position: int
    size_before: int
    old: bytes
    new: bytes


def build_library(folder: Path) -> Path:
    """Compile the library that notes writes and syncs."""
    library = folder / "power_loss.so"
    source = Path(__file__).with_name("power_loss.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
    return library


def lose_power(journal: Path, random: Random) -> int:
    """Take back what was not synced, and return how many writes that were.

    A disk may have kept some of the writes that nobody synced, in any order: each of them stays
    with a chance of one in two, after all were taken back.
    """
    unsynced = _unsynced(journal)
    for write in reversed(unsynced):
        _write(write.path, write.position, write.old)
        os.truncate(write.path, max(write.size_before, 0))
    for write in unsynced:
        if random.random() < 0.5:
            _write(write.path, write.position, write.new)
    return len(unsynced)


def _unsynced(journal: Path) -> list[Write]:
    writes: list[tuple[int, Write]] = []
    durable_to: dict[Path, int] = {}
    for place, kind, path, position, size, old, new in _records(journal.read_bytes()):
        if kind == b"w":
            writes.append((place, Write(path, position, size, old, new)))
        else:
            durable_to[path] = max(position, durable_to.get(path, 0))
    return [write for place, write in writes if place >= durable_to.get(write.path, 0)]


def _records(text: bytes) -> Iterator[tuple[int, bytes, Path, int, int, bytes, bytes]]:
    place = 0
    while place + _HEAD.size <= len(text):
        kind, path_length, position, size, length = _HEAD.unpack_from(text, place)
        path_at = place + _HEAD.size
        old_at = path_at + path_length
        new_at = old_at + length
        path = Path(os.fsdecode(text[path_at:old_at]))
        yield place, kind, path, position, size, text[old_at:new_at], text[new_at : new_at + length]
        place = new_at + length


def _write(path: Path, position: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(position)
        file.write(data)
