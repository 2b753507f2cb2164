"""Jobs found by rows of their own, newest first, each checked in the trail.

Such a row says that a job had a property once. ``f-<group>-…``: it ended in an error group.
``p-<key>-<hash of the value>-…``: a lookup key has a value. The latter name when it was made. Its
key ends like the timeline's, so a look-up is one small range of each shard. The row says nothing of
what came later; so each page asks the trail for the newest event of the jobs it shows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any

from jobfleet_backends.azure.http.table_reader import Query, Row
from jobfleet_backends.azure.index.index_rows import (
    indexed_key,
    key_time,
    time_key,
)
from jobfleet_backends.azure.index.index_table import IndexTable
from jobfleet_backends.azure.index.shard_merge import newest_of_all
from jobfleet_contracts.cursor import JOB_ID, CursorForm
from jobfleet_contracts.event import Event
from jobfleet_contracts.index import IndexedEvent, JobRow, Page
from jobfleet_contracts.lookup_keys import keys_in, value_hash
from jobfleet_contracts.ports import AuditTrail

MOST_LOOKS = 1_000
"""Rows that one page checks at most; it then says how far back it has looked."""

NO_KEYS: Mapping[str, str] = MappingProxyType({})
_CURSOR = CursorForm(f"(t-[0-9]{{16}}-{JOB_ID}-[0-9]{{10}})")
_ROWS = "PartitionKey eq @shard and RowKey gt @after and RowKey lt @end"
_COLUMNS = ("RowKey", "JobId", "Sequence")
_LOOKS_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Property:
    """What the rows of a look-up share.

    Attributes:
        prefix: how their keys begin, with the last hyphen.
        newest_only: the row must tell of the job's newest event.
    """

    prefix: str
    newest_only: bool


class JobLookup:
    """Reads one small range of each shard and merges them by time."""

    def __init__(self, *, table: IndexTable, trail: AuditTrail) -> None:
        self._table = table
        self._trail = trail

    async def page(
        self,
        wanted: Property,
        *,
        limit: int,
        cursor: str | None,
        since: datetime | None,
        fits: Callable[[JobRow], bool],
        keys: Mapping[str, str] = NO_KEYS,
    ) -> Page[JobRow]:
        """Return the next ``limit`` jobs that have the property and fit.

        Raises:
            InvalidRequest: this list did not return the cursor.
        """
        after = "t-" if cursor is None else _CURSOR.parts(cursor)[0]
        end = "t." if since is None else f"{time_key(since)}-~"
        found: list[JobRow] = []
        looked = 0
        while looked < MOST_LOOKS:
            size = limit + 1 - len(found)
            rows = await self._rows(wanted.prefix, after, end, size)
            for part in (rows[n : n + _LOOKS_AT_ONCE] for n in range(0, len(rows), _LOOKS_AT_ONCE)):
                for row, job in zip(part, await self._jobs(part, wanted), strict=True):
                    if job is not None and fits(job) and await self.has_keys(job, keys):
                        if len(found) == limit:
                            return Page(found, after)
                        found.append(job)
                    after = _place(row, wanted.prefix)
            looked += len(rows)
            if len(rows) < size:
                return Page(found)
        return Page(found, after, key_time(after))

    async def has_keys(self, job: JobRow, keys: Mapping[str, str]) -> bool:
        """Whether a row of each of these keys stands for the job; a request a key."""
        for key, value in keys.items():
            row_key = lookup_key(job.facts.job_id, job.facts.created_at, key, value)
            shard = self._table.shards.of(job.facts.job_id)
            if await self._table.get("index.lookup", shard, row_key) is None:
                return False
        return True

    async def _rows(self, prefix: str, after: str, end: str, size: int) -> list[Row]:
        values = {"after": prefix + after, "end": prefix + end}
        query = Query(_ROWS, values, _COLUMNS)
        return await newest_of_all(self._table, "index.lookup", query, size)

    async def _jobs(self, rows: Sequence[Row], wanted: Property) -> list[JobRow | None]:
        return list(await asyncio.gather(*(self._job(row, wanted) for row in rows)))

    async def _job(self, row: Row, wanted: Property) -> JobRow | None:
        job_id = str(row.get("JobId"))
        try:
            newest: Event | None = await self._trail.newest(job_id)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            return JobRow.unreadable(job_id, f"{type(error).__name__}: {error}")
        if newest is None or "tombstone" in newest.data:
            return None
        if wanted.newest_only and newest.sequence != row.get("Sequence"):
            return None
        return JobRow.of(newest)


def lookup_key(job_id: str, created_at: datetime, key: str, value: str) -> str:
    """Return the row key under which a job is found by a value, newest made first."""
    return f"{key_prefix(key, value)}{indexed_key(IndexedEvent(job_id, 0, created_at))}"


def key_prefix(key: str, value: str) -> str:
    """Return how the row keys of all jobs with this value begin."""
    return f"p-{key}-{value_hash(value)}-"


def key_rows(event: Event, shard: str) -> list[dict[str, Any]]:
    """Return the rows by which the job of an event is looked up; most events make none."""
    facts = event.facts
    return [
        {
            "PartitionKey": shard,
            "RowKey": lookup_key(facts.job_id, facts.created_at, key, value),
            "JobId": facts.job_id,
        }
        for key, value in keys_in(event).items()
    ]


def _place(row: Row, prefix: str) -> str:
    return str(row["RowKey"]).removeprefix(prefix)
