"""The index's reader in a process with a payload codec: jobs are found by HMACs of payload keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from jobfleet_contracts.error_group import ErrorSummary
from jobfleet_contracts.event import Event
from jobfleet_contracts.index import (
    Census,
    EndedCount,
    EventQuery,
    JobQuery,
    JobRow,
    LockUse,
    OpenRow,
    Page,
    TimelineEntry,
    TimeStep,
)
from jobfleet_contracts.lookup_keys import PAYLOAD
from jobfleet_contracts.ports import JobIndexReader
from jobfleet_contracts.run_times import RunTimes
from jobfleet_contracts.state import State
from jobfleet_contracts.value_coder import ValueCoder


class CodedReader(JobIndexReader):
    """Asks the backend's own reader; all but :meth:`jobs` is passed on as it is."""

    def __init__(self, reader: JobIndexReader, coder: ValueCoder) -> None:
        self._reader = reader
        self._coder = coder

    async def jobs(self, query: JobQuery) -> Page[JobRow]:
        """Return a page of jobs; values of payload keys are looked up by their HMACs."""
        keys = {
            name: self._coder.index_value(name, value) if name.startswith(PAYLOAD) else value
            for name, value in query.keys.items()
        }
        return await self._reader.jobs(replace(query, keys=keys))

    async def events(self, query: EventQuery) -> Page[Event]:
        return await self._reader.events(query)

    async def since(self, cursor: str | None, limit: int = 500) -> Sequence[TimelineEntry]:
        return await self._reader.since(cursor, limit)

    async def counts(self) -> Mapping[State, int]:
        return await self._reader.counts()

    async def census(self) -> Census:
        return await self._reader.census()

    async def ended(
        self, *, since: datetime, step: TimeStep, until: datetime | None = None
    ) -> Sequence[EndedCount]:
        return await self._reader.ended(since=since, step=step, until=until)

    async def errors(self, *, since: datetime, step: TimeStep) -> ErrorSummary:
        return await self._reader.errors(since=since, step=step)

    async def run_times(self, *, since: datetime) -> RunTimes:
        return await self._reader.run_times(since=since)

    async def lock_uses(self, *, limit: int = 100, waiters: int = 10) -> Sequence[LockUse]:
        return await self._reader.lock_uses(limit=limit, waiters=waiters)

    async def open_rows(
        self,
        *,
        states: frozenset[State] | None = None,
        cursor: str | None = None,
        limit: int = 1000,
    ) -> Page[OpenRow]:
        return await self._reader.open_rows(states=states, cursor=cursor, limit=limit)

    async def lock_waiters(
        self, lock_key: str, *, slots: int = 1, limit: int = 10
    ) -> Sequence[OpenRow]:
        return await self._reader.lock_waiters(lock_key, slots=slots, limit=limit)

    async def lock_slots(self, lock_key: str) -> frozenset[int]:
        return await self._reader.lock_slots(lock_key)
