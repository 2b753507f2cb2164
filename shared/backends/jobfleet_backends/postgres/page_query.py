"""Keyset pages over an ordered table, newest first, with a bound on what one page looks at.

Conditions that an index answers narrow the range; the rest is tested row by row over at most
``window`` rows of it. A page that ends at the bound says how far back it has looked, and its
cursor goes on from there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from jobfleet_backends.postgres.batch import Row
from jobfleet_backends.postgres.connection import Session
from jobfleet_backends.postgres.schema import in_schema
from jobfleet_backends.sql.row_codec import FoundRows
from jobfleet_contracts.codec import format_time, parse_time
from jobfleet_contracts.cursor import NUMBER, TIME, CursorForm

Condition = tuple[str, tuple[Any, ...]]
Place = tuple[datetime, int]

_CURSOR = CursorForm(f"({TIME})~({NUMBER})")


@dataclass(slots=True)
class PageQuery:
    """One question.

    Attributes:
        table: with the columns ``time`` and ``position``.
        time: name of the column that orders.
        ranges: conditions of the ranges to merge, each answered by an index in order of time.
        tests: conditions for each row of a range.
        window: rows of one range that are tested at most.
    """

    schema: str
    table: str
    columns: str
    time: str
    limit: int
    ranges: list[list[Condition]]
    tests: list[Condition] = field(default_factory=list)
    window: int = 200_000

    def run(self, session: Session) -> FoundRows:
        """Return rows, the next cursor, and where a bounded search has stopped."""
        rows: list[Row] = []
        stops: list[Place] = []
        for conditions in self.ranges:
            statement, values = self.statement(conditions)
            found = session.execute(statement, values).fetchall()
            rows += found
            if self.tests and len(found) <= self.limit:
                stops += self._end_of_window(session, conditions)
        rows.sort(key=_place, reverse=True)
        if stops:
            return self._cut(rows, max(stops))
        more = len(rows) > self.limit
        kept = rows[: self.limit]
        return kept, _cursor_text(_place(kept[-1])) if more else None, None

    def statement(self, conditions: list[Condition]) -> Condition:
        """Return the statement that finds the rows of one range."""
        where, values = _where(conditions)
        order = f"ORDER BY {self.time} DESC, position DESC"
        rows = f"SELECT * FROM jobfleet.{self.table} {where} {order}"
        if self.tests:
            test, tested = _where(self.tests)
            rows = f"SELECT * FROM ({rows} LIMIT %s) AS looked_at {test} {order}"
            values = (*values, self.window, *tested)
        statement = f"SELECT {self.columns}, {self.time}, position FROM ({rows}) AS found LIMIT %s"
        return in_schema(statement, self.schema), (*values, self.limit + 1)

    def _cut(self, rows: list[Row], stop: Place) -> FoundRows:
        """Rows beyond the nearest end of a window come with the next page."""
        seen = [row for row in rows if _place(row) >= stop]
        kept = seen[: self.limit]
        if len(seen) > self.limit:
            return kept, _cursor_text(_place(kept[-1])), None
        return kept, _cursor_text(stop), stop[0]

    def _end_of_window(self, session: Session, conditions: list[Condition]) -> list[Place]:
        where, values = _where(conditions)
        statement = (
            f"SELECT {self.time}, position FROM jobfleet.{self.table} {where} "
            f"ORDER BY {self.time} DESC, position DESC LIMIT 1 OFFSET %s"
        )
        found = session.execute(in_schema(statement, self.schema), (*values, self.window - 1))
        return [_place(row) for row in found.fetchall()]


def between(time: str, since: str | None, until: str | None, cursor: str | None) -> list[Condition]:
    """Return the conditions of a range of time and of a cursor."""
    conditions: list[Condition] = []
    if since is not None:
        conditions.append((f"{time} >= %s", (since,)))
    if until is not None:
        conditions.append((f"{time} < %s", (until,)))
    if cursor is not None:
        moment, position = _CURSOR.parts(cursor)
        place = f"({time}, position) < (%s::timestamptz, %s::bigint)"
        conditions.append((place, (moment, int(position))))
    return conditions


def _cursor_text(place: Place) -> str:
    return f"{format_time(place[0])}~{place[1]}"


def _place(row: Row) -> Place:
    return parse_time(row[-2]), row[-1]


def _where(conditions: list[Condition]) -> Condition:
    if not conditions:
        return "", ()
    text = " AND ".join(text for text, _ in conditions)
    return f"WHERE {text}", tuple(value for _, values in conditions for value in values)
