"""Jobs found by lookup keys, newest made first: one range of an index, tested row by row."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from jobfleet_backends.sql.row_codec import JOB_COLUMNS, FoundRows
from jobfleet_backends.sqlite.page_query import Condition
from jobfleet_contracts.codec import parse_time
from jobfleet_contracts.cursor import JOB_ID, TIME, CursorForm
from jobfleet_contracts.index import JobQuery

LOOKED_AT = 10_000
"""Jobs of the first key that one page tests at most; it then says how far back it has looked."""

_CURSOR = CursorForm(f"({TIME})~({JOB_ID})")
_CANDIDATES = """
SELECT job_id, created_at FROM job_keys WHERE key = ? AND value = ?
    AND (created_at, job_id) < (?, ?) ORDER BY created_at DESC, job_id DESC LIMIT ?
"""
_ALSO = "EXISTS (SELECT 1 FROM job_keys AS also WHERE also.key = ? AND also.value = ? AND"
_LAST = ("9999", "")


def look_up(
    connection: sqlite3.Connection, query: JobQuery, tests: Sequence[Condition]
) -> FoundRows:
    """Return rows, the next cursor, and where a bounded search has stopped.

    Raises:
        InvalidRequest: this list did not return the cursor.
    """
    (key, value), *others = query.keys.items()
    place = _LAST if query.cursor is None else _CURSOR.parts(query.cursor)
    where = [
        *tests,
        *(
            (f"{_ALSO} also.created_at = it.keyed_at AND also.job_id = it.job_id)", other)
            for other in others
        ),
    ]
    columns = ", ".join(f"jobs.{name}" for name in JOB_COLUMNS.split(", "))
    statement = (
        f"SELECT {JOB_COLUMNS}, keyed_at FROM (SELECT {columns}, jobs.search, "
        f"found.created_at AS keyed_at FROM ({_CANDIDATES}) AS found JOIN jobs USING (job_id)) "
        f"AS it {'WHERE ' if where else ''}{' AND '.join(text for text, _ in where)} "
        "ORDER BY keyed_at DESC, job_id DESC LIMIT ?"
    )
    values = (key, value, *place, LOOKED_AT, *(each for _, bound in where for each in bound))
    rows = connection.execute(statement, (*values, query.limit + 1)).fetchall()
    if len(rows) > query.limit:
        return rows[: query.limit], f"{rows[query.limit - 1][-1]}~{rows[query.limit - 1][0]}", None
    end = connection.execute(
        f"{_CANDIDATES} OFFSET ?", (key, value, *place, 1, LOOKED_AT - 1)
    ).fetchone()
    if end is None:
        return rows, None, None
    return rows, f"{end[1]}~{end[0]}", parse_time(end[1])
