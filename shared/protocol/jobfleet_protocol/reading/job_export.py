"""A filtered list of jobs as a file: CSV for spreadsheets, JSON Lines for programs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

from jobfleet_contracts.codec import encode
from jobfleet_contracts.index import JobQuery, JobRow
from jobfleet_contracts.ports import JobIndexReader
from jobfleet_protocol.reading.csv_line import csv_line
from jobfleet_protocol.reading.masking_turns import in_turns, message_of

PAGE = 500
COLUMNS = (
    *("jobId", "jobName", "type", "state", "queue", "priority", "lockKey", "attempt"),
    *("maxAttempts", "workerId", "message", "createdAt", "updatedAt", "dueAt", "dismissed"),
)


async def job_rows(reader: JobIndexReader, query: JobQuery) -> AsyncIterator[JobRow]:
    """Yield all jobs that a question finds, page by page; memory holds one page.

    Raises:
        BackendUnavailable: the index cannot be read; what was yielded is not all.
    """
    async for page in _pages(reader, query):
        for row in page:
            yield row


async def _pages(reader: JobIndexReader, query: JobQuery) -> AsyncIterator[Sequence[JobRow]]:
    following: JobQuery | None = replace(query, limit=PAGE, cursor=None)
    while following is not None:
        page = await reader.jobs(following)
        yield page.items
        following = replace(following, cursor=page.next) if page.next else None


async def csv_lines(reader: JobIndexReader, query: JobQuery) -> AsyncIterator[bytes]:
    """Yield the jobs as CSV (RFC 4180) with a line of names; credentials are masked."""
    yield csv_line(COLUMNS)
    async for page in _pages(reader, query):
        for line in await in_turns(_csv_line, page, message_of):
            yield line


async def json_lines(reader: JobIndexReader, query: JobQuery) -> AsyncIterator[bytes]:
    """Yield the jobs as JSON Lines, each as a list of jobs shows it."""
    async for page in _pages(reader, query):
        for line in await in_turns(_json_line, page, message_of):
            yield line


def _csv_line(row: JobRow) -> bytes:
    shown = row.to_json()
    return csv_line(shown[name] for name in COLUMNS)


def _json_line(row: JobRow) -> bytes:
    return encode(row.to_json()) + b"\n"
