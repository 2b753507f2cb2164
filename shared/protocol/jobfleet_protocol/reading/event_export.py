"""A filtered list of events as a file: CSV for spreadsheets, JSON Lines for programs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

from jobfleet_contracts.codec import encode
from jobfleet_contracts.event import Event
from jobfleet_contracts.index import EventQuery
from jobfleet_contracts.ports import JobIndexReader
from jobfleet_protocol.reading.csv_line import csv_line
from jobfleet_protocol.reading.event_search import find_events
from jobfleet_protocol.reading.masking_turns import in_turns, texts_of

PAGE = 500
COLUMNS = (
    *("timestamp", "jobId", "jobName", "type", "sequence", "status", "state", "message"),
    *("attempt", "epoch", "workerId", "durationMs", "eventId"),
)
"""All fields of an event but its data, which have no columns."""


async def event_rows(reader: JobIndexReader, query: EventQuery) -> AsyncIterator[Event]:
    """Yield all events that a question finds, newest first; memory holds one page.

    Raises:
        BackendUnavailable: the index cannot be read; what was yielded is not all.
    """
    async for page in _pages(reader, query):
        for event in page:
            yield event


async def _pages(reader: JobIndexReader, query: EventQuery) -> AsyncIterator[Sequence[Event]]:
    following: EventQuery | None = replace(query, limit=PAGE, cursor=None)
    while following is not None:
        page = await find_events(reader, following)
        yield page.items
        following = replace(following, cursor=page.next) if page.next else None


async def csv_lines(reader: JobIndexReader, query: EventQuery) -> AsyncIterator[bytes]:
    """Yield the events as CSV (RFC 4180) with a line of names; credentials are masked."""
    yield csv_line(COLUMNS)
    async for page in _pages(reader, query):
        for line in await in_turns(_csv_line, page, texts_of):
            yield line


async def json_lines(reader: JobIndexReader, query: EventQuery) -> AsyncIterator[bytes]:
    """Yield the events as JSON Lines, each as a list of events shows it."""
    async for page in _pages(reader, query):
        for line in await in_turns(_json_line, page, texts_of):
            yield line


def _csv_line(event: Event) -> bytes:
    shown = event.to_json()
    return csv_line(shown[name] for name in COLUMNS)


def _json_line(event: Event) -> bytes:
    return encode(event.to_json()) + b"\n"
