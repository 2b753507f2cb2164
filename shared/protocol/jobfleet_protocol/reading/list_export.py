"""A filtered list of jobs or events as a file: CSV for spreadsheets, JSON Lines for programs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any, Generic, Protocol, TypeVar

from jobfleet_contracts.codec import encode
from jobfleet_contracts.event import Event
from jobfleet_contracts.index import EventQuery, JobQuery, JobRow, Page
from jobfleet_contracts.ports import JobIndexReader
from jobfleet_protocol.reading.csv_line import csv_line
from jobfleet_protocol.reading.event_search import find_events
from jobfleet_protocol.reading.masking_turns import in_turns, message_of, texts_of

PAGE = 500
T = TypeVar("T")
Query = TypeVar("Query", JobQuery, EventQuery)
Turn = AbstractAsyncContextManager[None]
_NO_TURN: Turn = nullcontext()


class Shown(Protocol):
    """What a list has a row of."""

    def to_json(self) -> dict[str, Any]:
        """Return what the list shows, masked."""
        ...


Row = TypeVar("Row", bound=Shown)


@dataclass(frozen=True)
class ListExport(Generic[Query, Row]):
    """How one kind of list becomes a file.

    Attributes:
        columns: of the CSV, by their names in JSON.
        ask: returns one page of what a question finds.
        masked: what masking looks at in a row.
    """

    columns: Sequence[str]
    ask: Callable[[JobIndexReader, Query], Awaitable[Page[Row]]]
    masked: Callable[[Row], object]

    async def rows(self, reader: JobIndexReader, query: Query) -> AsyncIterator[Row]:
        """Yield all that a question finds, in the list's order; memory holds one page.

        Raises:
            BackendUnavailable: the index cannot be read; what was yielded is not all.
        """
        async for page in self._pages(reader, query, _NO_TURN, _kept):
            for row in page:
                yield row

    async def csv_lines(
        self, reader: JobIndexReader, query: Query, turn: Turn = _NO_TURN
    ) -> AsyncIterator[bytes]:
        """Yield the rows as CSV (RFC 4180) with a line of names; credentials are masked.

        Args:
            turn: entered to read and mask a page, and left before its lines are yielded.
        """
        yield csv_line(self.columns)
        async for line in self._lines(reader, query, turn, self._csv_line):
            yield line

    async def json_lines(
        self, reader: JobIndexReader, query: Query, turn: Turn = _NO_TURN
    ) -> AsyncIterator[bytes]:
        """Yield the rows as JSON Lines, each as the list shows it; ``turn`` as for the CSV."""
        async for line in self._lines(reader, query, turn, _json_line):
            yield line

    async def _lines(
        self, reader: JobIndexReader, query: Query, turn: Turn, line_of: Callable[[Row], bytes]
    ) -> AsyncIterator[bytes]:
        async def masked(rows: Sequence[Row]) -> Sequence[bytes]:
            return await in_turns(line_of, rows, self.masked)

        async for lines in self._pages(reader, query, turn, masked):
            for line in lines:
                yield line

    async def _pages(
        self,
        reader: JobIndexReader,
        query: Query,
        turn: Turn,
        made: Callable[[Sequence[Row]], Awaitable[Sequence[T]]],
    ) -> AsyncIterator[Sequence[T]]:
        following: Query | None = replace(query, limit=PAGE, cursor=None)
        while following is not None:
            async with turn:  # never while a page is yielded: nobody may take it
                page = await self.ask(reader, following)
                items = await made(page.items)
            following = replace(following, cursor=page.next) if page.next else None
            del page
            yield items

    def _csv_line(self, row: Row) -> bytes:
        shown = row.to_json()
        return csv_line(shown[name] for name in self.columns)


async def _kept(rows: Sequence[Row]) -> Sequence[Row]:
    return rows


def _json_line(row: Shown) -> bytes:
    return encode(row.to_json()) + b"\n"


JOBS: ListExport[JobQuery, JobRow] = ListExport(
    columns=(
        *("jobId", "jobName", "type", "state", "queue", "priority", "lockKey", "attempt"),
        *("maxAttempts", "workerId", "message", "createdAt", "updatedAt", "dueAt", "dismissed"),
    ),
    ask=lambda reader, query: reader.jobs(query),
    masked=message_of,
)
EVENTS: ListExport[EventQuery, Event] = ListExport(
    columns=(
        *("timestamp", "jobId", "jobName", "type", "sequence", "status", "state", "message"),
        *("attempt", "epoch", "workerId", "durationMs", "eventId"),
    ),
    ask=find_events,
    masked=texts_of,
)
"""The CSV has all fields of an event but its data, which have no columns."""
