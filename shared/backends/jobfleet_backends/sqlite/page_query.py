"""Keyset pages over an ordered table, newest first, with a bound on what one page looks at.

Conditions that an index answers narrow the range; the rest is tested row by row over at most
``window`` rows of it. A page that ends at the bound says how far back it has looked, and its
cursor goes on from there.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from jobfleet_backends.sql.row_codec import FoundRows, Row
from jobfleet_contracts.codec import parse_time
from jobfleet_contracts.cursor import NUMBER, TIME, CursorForm

Condition = tuple[str, tuple[Any, ...]]

_CURSOR = CursorForm(f"({TIME})~({NUMBER})")


@dataclass(slots=True)
class PageQuery:
    """One question.

    Attributes:
        table: with the columns ``time`` and ``position``.
        time: name of the column that orders.
        ranges: conditions of the ranges to merge, each answered by an index in order of time.
        tests: conditions for each row of a range, over the columns ``tested``.
        window: rows of one range that are tested at most.
    """

    table: str
    columns: str
    time: str
    limit: int
    ranges: list[list[Condition]]
    tests: list[Condition] = field(default_factory=list)
    tested: str = ""
    window: int = 200_000

    def run(self, connection: sqlite3.Connection) -> FoundRows:
        """Return rows, the next cursor, and where a bounded search has stopped."""
        rows: list[Row] = []
        stops: list[Row] = []
        for conditions in self.ranges:
            found = self._find(connection, conditions)
            rows += found
            if self.tests and len(found) <= self.limit:
                stops += self._end_of_window(connection, conditions)
        rows.sort(key=_place, reverse=True)
        if stops:
            return self._cut(rows, max(stops))
        more = len(rows) > self.limit
        kept = rows[: self.limit]
        return kept, cursor_text(_place(kept[-1])) if more else None, None

    def _cut(self, rows: list[Row], stop: Row) -> tuple[list[Row], str, datetime | None]:
        """Rows beyond the nearest end of a window come with the next page."""
        seen = [row for row in rows if _place(row) >= stop]
        kept = seen[: self.limit]
        if len(seen) > self.limit:
            return kept, cursor_text(_place(kept[-1])), None
        return kept, cursor_text(stop), parse_time(stop[0])

    def _find(self, connection: sqlite3.Connection, conditions: list[Condition]) -> list[Row]:
        """Look for positions first: an index may answer that without the rows themselves."""
        where, values = _where(conditions)
        order = f"ORDER BY {self.time} DESC, position DESC"
        found = f"SELECT position FROM {self.table} {where} {order}"
        if self.tests:
            test, tested = _where(self.tests)
            tried = f"SELECT position, {self.tested} FROM {self.table} {where} {order} LIMIT ?"
            found = f"SELECT position FROM ({tried}) {test}"
            values = (*values, self.window, *tested)
        statement = (
            f"SELECT {self.columns}, {self.time}, position FROM {self.table} "
            f"WHERE position IN ({found} LIMIT ?) {order}"
        )
        return connection.execute(statement, (*values, self.limit + 1)).fetchall()

    def _end_of_window(
        self, connection: sqlite3.Connection, conditions: list[Condition]
    ) -> list[Row]:
        where, values = _where(conditions)
        statement = (
            f"SELECT {self.time}, position FROM {self.table} {where} "
            f"ORDER BY {self.time} DESC, position DESC LIMIT 1 OFFSET ?"
        )
        return connection.execute(statement, (*values, self.window - 1)).fetchall()


def between(time: str, since: str | None, until: str | None, cursor: str | None) -> list[Condition]:
    """Return the conditions of a range of time and of a cursor."""
    conditions: list[Condition] = []
    if since is not None:
        conditions.append((f"{time} >= ?", (since,)))
    if until is not None:
        conditions.append((f"{time} < ?", (until,)))
    if cursor is not None:
        conditions.append((f"({time}, position) < (?, ?)", _cursor_place(cursor)))
    return conditions


def cursor_text(place: Row) -> str:
    """Return the cursor of a place in the order."""
    return f"{place[0]}~{place[1]}"


def _cursor_place(cursor: str) -> tuple[str, int]:
    time, position = _CURSOR.parts(cursor)
    return time, int(position)


def _place(row: Row) -> Row:
    return row[-2:]


def _where(conditions: list[Condition]) -> Condition:
    if not conditions:
        return "", ()
    text = " AND ".join(text for text, _ in conditions)
    return f"WHERE {text}", tuple(value for _, values in conditions for value in values)
