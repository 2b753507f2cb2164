"""Insertions into the trail, joined into few statements where a batch holds several."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cache

from jobfleet_backends.sql.row_codec import EVENT_COLUMNS, Row
from jobfleet_contracts.errors import SequenceTaken

_LARGEST = 64
"""Rows of one statement; powers of two up to here keep the number of statements small."""
_TRAIL = f"INSERT INTO trail ({EVENT_COLUMNS}) VALUES ..."


class TrailInsert:
    """One caller's consecutive events: an operation of its own, or a part of a joined one.

    Each statement releases Python's lock, and beside a busy thread it takes up to 5 ms to get it
    back. So a batch inserts with few statements.

    Attributes:
        rows: the trail's rows.
        beside: rows of other tables, by statement, that are inserted if, and only if, those of
            the trail are. A statement has ``VALUES ...`` where its rows stand.
    """

    __slots__ = ("beside", "rows")

    def __init__(
        self, rows: Sequence[Row], beside: Mapping[str, Sequence[Row]] | None = None
    ) -> None:
        self.rows = rows
        self.beside = beside or {}

    def __call__(self, connection: sqlite3.Connection) -> None:
        """Insert the rows, all or none.

        Raises:
            SequenceTaken: one of them stands.
        """
        try:
            _insert(connection, _TRAIL, self.rows)
        except sqlite3.IntegrityError as error:
            if not _is_taken(error):
                raise
            job_id, sequence = self.rows[0][:2]
            raise SequenceTaken(f"job {job_id} has event {sequence} or a later one") from None
        for statement, rows in self.beside.items():
            _insert(connection, statement, rows)


def insert_joined(connection: sqlite3.Connection, inserts: Sequence[TrailInsert]) -> bool:
    """Insert all of them, or none and return ``False`` if any sequence stands."""
    connection.execute("SAVEPOINT joined")
    try:
        _insert(connection, _TRAIL, [row for insert in inserts for row in insert.rows])
    except sqlite3.IntegrityError as error:
        if not _is_taken(error):
            raise
        connection.execute("ROLLBACK TO joined")
        connection.execute("RELEASE joined")
        return False
    beside: defaultdict[str, list[Row]] = defaultdict(list)
    for insert in inserts:
        for statement, rows in insert.beside.items():
            beside[statement] += rows
    for statement, rows in beside.items():
        _insert(connection, statement, rows)
    connection.execute("RELEASE joined")
    return True


def _insert(connection: sqlite3.Connection, statement: str, rows: Sequence[Row]) -> None:
    start = 0
    while left := len(rows) - start:
        size = min(_LARGEST, 1 << (left.bit_length() - 1))
        part = rows[start : start + size]
        values = [value for row in part for value in row]
        connection.execute(_with_rows(statement, size, len(part[0])), values)
        start += size


@cache
def _with_rows(statement: str, rows: int, columns: int) -> str:
    row = f"({', '.join('?' * columns)})"
    return statement.replace("VALUES ...", f"VALUES {', '.join([row] * rows)}")


def _is_taken(error: sqlite3.IntegrityError) -> bool:
    return error.sqlite_errorcode == sqlite3.SQLITE_CONSTRAINT_UNIQUE
