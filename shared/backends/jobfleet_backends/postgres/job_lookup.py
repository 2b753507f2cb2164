"""Jobs found by lookup keys, newest made first: one range of an index, tested row by row."""

from __future__ import annotations

from collections.abc import Sequence

from jobfleet_backends.postgres.connection import Session
from jobfleet_backends.postgres.page_query import Condition
from jobfleet_backends.postgres.schema import in_schema
from jobfleet_backends.sql.row_codec import JOB_COLUMNS, FoundRows
from jobfleet_contracts.codec import format_time, parse_time
from jobfleet_contracts.cursor import JOB_ID, TIME, CursorForm
from jobfleet_contracts.index import JobQuery

LOOKED_AT = 10_000
"""Jobs of the first key that one page tests at most; it then says how far back it has looked."""

_CURSOR = CursorForm(f"({TIME})~({JOB_ID})")
_CANDIDATES = """
SELECT job_id, created_at AS keyed_at FROM jobfleet.job_keys WHERE key = %s AND value = %s
    AND (created_at, job_id) < (%s::timestamptz, %s)
ORDER BY created_at DESC, job_id DESC LIMIT %s
"""
_ALSO = """
EXISTS (SELECT 1 FROM jobfleet.job_keys AS also WHERE also.key = %s AND also.value = %s
    AND also.created_at = it.keyed_at AND also.job_id = it.job_id)
"""
_LAST = ("infinity", "")


def look_up(
    session: Session, schema: str, query: JobQuery, tests: Sequence[Condition]
) -> FoundRows:
    """Return rows, the next cursor, and where a bounded search has stopped.

    Raises:
        InvalidRequest: this list did not return the cursor.
    """
    (key, value), *others = query.keys.items()
    place = _LAST if query.cursor is None else _CURSOR.parts(query.cursor)
    where = [*tests, *((_ALSO, other) for other in others)]
    statement = (
        f"SELECT {JOB_COLUMNS}, keyed_at FROM (SELECT jobs.*, found.keyed_at "
        f"FROM ({_CANDIDATES}) AS found JOIN jobfleet.jobs USING (job_id)) AS it "
        f"{'WHERE ' if where else ''}{' AND '.join(text for text, _ in where)} "
        "ORDER BY keyed_at DESC, job_id DESC LIMIT %s"
    )
    values = (key, value, *place, LOOKED_AT, *(each for _, bound in where for each in bound))
    rows = session.execute(in_schema(statement, schema), (*values, query.limit + 1)).fetchall()
    if len(rows) > query.limit:
        last = rows[query.limit - 1]
        return rows[: query.limit], f"{format_time(parse_time(last[-1]))}~{last[0]}", None
    ends = session.execute(
        in_schema(f"{_CANDIDATES} OFFSET %s", schema), (key, value, *place, 1, LOOKED_AT - 1)
    ).fetchall()
    if not ends:
        return rows, None, None
    stop = parse_time(ends[0][1])
    return rows, f"{format_time(stop)}~{ends[0][0]}", stop
