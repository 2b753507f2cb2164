"""The timeline read across its shards: newest first, in bounded pieces."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from jobfleet_backends.azure.http.table_reader import Query, Row
from jobfleet_backends.azure.index.index_rows import key_time, time_key
from jobfleet_backends.azure.index.index_table import IndexTable
from jobfleet_backends.azure.index.shard_merge import newest_of_all
from jobfleet_contracts.cursor import JOB_ID, CursorForm

SEARCH_SECONDS = 3.0
"""After it a search for few rows among many says how far back it has looked."""

WINDOWS = (timedelta(days=1), timedelta(days=30))
"""How far back a search looks at once: each look costs a request to each shard."""

_END = "t."
_CURSOR = CursorForm(f"(t-[0-9]{{16}}(?:-(?:~|{JOB_ID}-[0-9]{{10}}))?)")


@dataclass(frozen=True, slots=True)
class Span:
    """A part of the timeline, and what its rows must be.

    Attributes:
        after, before: row keys, both exclusive; the order is newest first.
        where: further conditions, each with the values of its names.
    """

    after: str = "t-"
    before: str = _END
    where: tuple[str, ...] = ()
    values: Mapping[str, Any] = field(default_factory=dict)

    def that(self, condition: str, **values: Any) -> Span:
        """Return this span with one more condition."""
        return replace(self, where=(*self.where, condition), values={**self.values, **values})


@dataclass(frozen=True, slots=True)
class Stretch:
    """What was found; ``end`` is the row key up to which everything was seen, ``None`` for all."""

    entities: Sequence[Row]
    end: str | None


class Timeline:
    """Reads a small range of each shard and merges them by row key."""

    def __init__(self, *, table: IndexTable) -> None:
        self._table = table

    async def newest(self, operation: str, span: Span, limit: int) -> Stretch:
        """Return the newest ``limit`` rows of a span.

        A search looks at growing windows of time. So a search that takes too long knows where it
        stopped.
        """
        if not span.where:
            return await self._merged(operation, span, limit)
        loop = asyncio.get_running_loop()
        until = loop.time() + SEARCH_SECONDS
        found: list[Row] = []
        for piece in _pieces(span):
            stretch = await self._merged(operation, piece, limit - len(found))
            found += stretch.entities
            if stretch.end is not None:
                return Stretch(found, stretch.end)
            if piece.before >= span.before:
                break
            if loop.time() > until:
                return Stretch(found, piece.before)
        return Stretch(found, None)

    async def _merged(self, operation: str, span: Span, limit: int) -> Stretch:
        """One row more than wanted tells whether there are more."""
        rows = await newest_of_all(self._table, operation, _query(span), limit + 1)
        if len(rows) <= limit:
            return Stretch(rows, None)
        return Stretch(rows[:limit], _row_key(rows[limit - 1]) if limit else span.after)


def span_of(since: datetime | None, until: datetime | None, cursor: str | None) -> Span:
    """Return the span of a range of time (``until`` exclusive), continued after a cursor.

    Raises:
        InvalidRequest: this list did not return the cursor.
    """
    after, before = "t-", _END
    if until is not None:
        after = time_key(until) + "-~"
    if since is not None:
        before = time_key(since) + "-~"
    if cursor is not None:
        after = max(after, *_CURSOR.parts(cursor))
    return Span(after, before)


def _pieces(span: Span) -> list[Span]:
    try:
        start = key_time(span.after)
    except ValueError:
        start = datetime.now().astimezone()
    ends = [time_key(start - window) for window in WINDOWS]
    bounds = [span.after, *(end for end in ends if span.after < end < span.before), span.before]
    # An end is exclusive on one side and a start on the other, so a key itself is never skipped:
    # ends are only prefixes of row keys.
    return [replace(span, after=after, before=before) for after, before in pairwise(bounds)]


def _query(span: Span) -> Query:
    conditions = ["PartitionKey eq @shard", "RowKey gt @after", "RowKey lt @before", *span.where]
    values = {"after": span.after, "before": span.before, **span.values}
    return Query(" and ".join(conditions), values)


def _row_key(entity: Row) -> str:
    return str(entity["RowKey"])
