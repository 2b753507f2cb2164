"""Insertions into the trail, joined into few statements where a batch holds several."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from functools import cache

from jobfleet_backends.sql.row_codec import EVENT_COLUMNS, Row, marks
from jobfleet_contracts.errors import SequenceTaken

_LARGEST = 64
"""Rows of one statement; powers of two up to here keep the number of statements small."""


class TrailInsert:
    """One caller's consecutive events: an operation of its own, or a part of a joined one.

    Each statement releases Python's lock, and beside a busy thread it takes up to 5 ms to get it
    back. So a batch inserts with few statements.
    """

    __slots__ = ("rows",)

    def __init__(self, rows: Sequence[Row]) -> None:
        self.rows = rows

    def __call__(self, connection: sqlite3.Connection) -> None:
        """Insert the rows, all or none.

        Raises:
            SequenceTaken: one of them stands.
        """
        try:
            _insert(connection, self.rows)
        except sqlite3.IntegrityError as error:
            if not _is_taken(error):
                raise
            job_id, sequence = self.rows[0][:2]
            raise SequenceTaken(f"job {job_id} has event {sequence} or a later one") from None


def insert_joined(connection: sqlite3.Connection, inserts: Sequence[TrailInsert]) -> bool:
    """Insert all of them, or none and return ``False`` where any sequence stands."""
    rows = [row for insert in inserts for row in insert.rows]
    connection.execute("SAVEPOINT joined")
    try:
        for part in _parts(rows):
            _insert(connection, part)
    except sqlite3.IntegrityError as error:
        if not _is_taken(error):
            raise
        connection.execute("ROLLBACK TO joined")
        connection.execute("RELEASE joined")
        return False
    connection.execute("RELEASE joined")
    return True


def _insert(connection: sqlite3.Connection, rows: Sequence[Row]) -> None:
    connection.execute(_statement(len(rows)), [value for row in rows for value in row])


@cache
def _statement(rows: int) -> str:
    values = ", ".join([marks(EVENT_COLUMNS)] * rows)
    return f"INSERT INTO trail ({EVENT_COLUMNS}) VALUES {values}"


def _parts(rows: list[Row]) -> Iterator[list[Row]]:
    start = 0
    while left := len(rows) - start:
        size = min(_LARGEST, 1 << (left.bit_length() - 1))
        yield rows[start : start + size]
        start += size


def _is_taken(error: sqlite3.IntegrityError) -> bool:
    return error.sqlite_errorcode == sqlite3.SQLITE_CONSTRAINT_UNIQUE
