"""A filtered list of jobs as a file: CSV for spreadsheets, JSON Lines for programs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

from jobfleet_contracts.codec import encode
from jobfleet_contracts.index import JobQuery, JobRow
from jobfleet_contracts.ports import JobIndexReader
from jobfleet_protocol.reading.csv_line import csv_line

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
    following: JobQuery | None = replace(query, limit=PAGE, cursor=None)
    while following is not None:
        page = await reader.jobs(following)
        for row in page.items:
            yield row
        following = replace(following, cursor=page.next) if page.next else None


async def csv_lines(reader: JobIndexReader, query: JobQuery) -> AsyncIterator[bytes]:
    """Yield the jobs as CSV (RFC 4180) with a line of names; credentials are masked."""
    yield csv_line(COLUMNS)
    async for row in job_rows(reader, query):
        shown = row.to_json()
        yield csv_line(shown[name] for name in COLUMNS)


async def json_lines(reader: JobIndexReader, query: JobQuery) -> AsyncIterator[bytes]:
    """Yield the jobs as JSON Lines, each as a list of jobs shows it."""
    async for row in job_rows(reader, query):
        yield encode(row.to_json()) + b"\n"
