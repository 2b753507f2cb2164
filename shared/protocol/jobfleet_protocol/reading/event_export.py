"""A filtered list of events as a file: CSV for spreadsheets, JSON Lines for programs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

from jobfleet_contracts.codec import encode
from jobfleet_contracts.event import Event
from jobfleet_contracts.index import EventQuery
from jobfleet_contracts.ports import JobIndexReader
from jobfleet_protocol.reading.csv_line import csv_line
from jobfleet_protocol.reading.event_search import find_events

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
    following: EventQuery | None = replace(query, limit=PAGE, cursor=None)
    while following is not None:
        page = await find_events(reader, following)
        for event in page.items:
            yield event
        following = replace(following, cursor=page.next) if page.next else None


async def csv_lines(reader: JobIndexReader, query: EventQuery) -> AsyncIterator[bytes]:
    """Yield the events as CSV (RFC 4180) with a line of names; credentials are masked."""
    yield csv_line(COLUMNS)
    async for event in event_rows(reader, query):
        shown = event.to_json()
        yield csv_line(shown[name] for name in COLUMNS)


async def json_lines(reader: JobIndexReader, query: EventQuery) -> AsyncIterator[bytes]:
    """Yield the events as JSON Lines, each as a list of events shows it."""
    async for event in event_rows(reader, query):
        yield encode(event.to_json()) + b"\n"
