"""The first rows of all shards together: each is asked for its share, then for what is missing."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace

from jobfleet_backends.azure.http.table_reader import Query, Row
from jobfleet_backends.azure.index.index_table import IndexTable

_SPARE, _SPARE_ROWS = 1.5, 8
"""Jobs are spread by a hash: with so much more than its share, a shard rarely has too little."""


@dataclass(slots=True)
class _Part:
    """What is known of one shard; ``ended`` when nothing follows."""

    shard: str
    after: str
    rows: list[Row] = field(default_factory=list)
    ended: bool = False

    def hides_rows_before(self, key: str | None) -> bool:
        """Whether rows not read yet may come before a row key; ``None`` is behind all."""
        return not self.ended and (key is None or self.after < key)


async def newest_of_all(table: IndexTable, operation: str, query: Query, count: int) -> list[Row]:
    """Return the ``count`` rows with the first row keys, over all shards, in their order.

    It costs one request a shard, and one more for each shard that has more than its share.

    Args:
        query: names ``@shard`` and ``RowKey gt @after``; the latter has its value.
    """
    parts = [_Part(shard, query.values["after"]) for shard in table.shards.names]
    size = min(count, round(count / len(parts) * _SPARE) + _SPARE_ROWS)
    asked = parts
    while True:
        await asyncio.gather(*(_read_on(table, operation, query, part, size) for part in asked))
        rows = sorted((row for part in parts for row in part.rows), key=_row_key)[:count]
        last = _row_key(rows[-1]) if len(rows) == count else None
        asked = [part for part in parts if part.hides_rows_before(last)]
        if not asked or not count:
            return rows
        size = count


async def _read_on(table: IndexTable, operation: str, query: Query, part: _Part, size: int) -> None:
    here = {**query.values, "shard": part.shard, "after": part.after}
    found = await table.first(operation, replace(query, values=here), size)
    part.rows += found
    part.ended = len(found) < size
    if found:
        part.after = _row_key(found[-1])


def _row_key(row: Row) -> str:
    return str(row["RowKey"])
