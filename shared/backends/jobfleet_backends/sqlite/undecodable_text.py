"""Text of the database that is not UTF-8: edited with another program.

The driver ends the whole query at such a cell. The query is then repeated with readers of text that
take any bytes and mark the row. So the ordinary way, on which each cell is decoded by the driver
itself, costs nothing more.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from jobfleet_backends.sql.row_codec import MarkedRow, Row

_MESSAGE = "Could not decode to UTF-8"


class UndecodableText(str):
    """A cell that is not UTF-8, with U+FFFD in the place of what is none.

    Attributes:
        raw: its bytes. As a parameter it is bound as these, and ``CAST(? AS TEXT)`` finds it again.
    """

    __slots__ = ("raw",)
    raw: bytes

    @classmethod
    def of(cls, raw: bytes) -> UndecodableText:
        """Return the text of a cell."""
        text = cls(raw.decode(errors="replace"))
        text.raw = raw
        return text

    def __conform__(self, protocol: object) -> bytes | None:
        """Return what SQLite binds as a parameter."""
        return self.raw if protocol is sqlite3.PrepareProtocol else None


def is_undecodable(error: BaseException) -> bool:
    """Whether a query ended because a cell is not UTF-8."""
    return isinstance(error, sqlite3.OperationalError) and _MESSAGE in str(error)


@contextmanager
def reading_any_text(connection: sqlite3.Connection) -> Iterator[None]:
    """Read cells that are not UTF-8 too; rows that hold one are a ``MarkedRow``."""
    connection.text_factory, connection.row_factory = _text, _row
    try:
        yield
    finally:
        connection.text_factory, connection.row_factory = str, None


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return UndecodableText.of(raw)


def _row(cursor: sqlite3.Cursor, row: Row) -> Row:
    columns: list[Any] = [column[0] for column in cursor.description]
    for name, value in zip(columns, row, strict=True):
        if isinstance(value, UndecodableText):
            return MarkedRow(row, f"{name} is not UTF-8")
    return row
