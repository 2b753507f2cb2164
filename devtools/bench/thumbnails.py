"""Work that computes: a picture is made small and encoded, in Python without libraries."""

from __future__ import annotations

import struct
import zlib

WIDTH, HEIGHT, TIMES = 800, 600, 4


def thumbnail(seed: int) -> bytes:
    """Return a PNG of a quarter of the width and height of a picture that the seed makes."""
    rows = [_row(seed + line) for line in range(HEIGHT)]
    small = [_smaller(rows[top : top + TIMES]) for top in range(0, HEIGHT, TIMES)]
    return _png(small)


def _row(seed: int) -> bytes:
    return bytes((seed * step + step) % 251 for step in range(WIDTH))


def _smaller(rows: list[bytes]) -> bytes:
    """Return one line of means over squares of ``TIMES`` by ``TIMES`` grey pixels."""
    return bytes(
        sum(sum(row[left : left + TIMES]) for row in rows) // TIMES**2
        for left in range(0, WIDTH, TIMES)
    )


def _png(rows: list[bytes]) -> bytes:
    size = struct.pack(">IIBBBBB", len(rows[0]), len(rows), 8, 0, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\x00" + row for row in rows), 9)
    chunks = _chunk(b"IHDR", size) + _chunk(b"IDAT", pixels) + _chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
