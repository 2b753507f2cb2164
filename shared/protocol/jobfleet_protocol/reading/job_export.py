"""A filtered list of jobs as a file: CSV for spreadsheets, JSON Lines for programs."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

from jobfleet_contracts.codec import encode
from jobfleet_contracts.index import JobQuery, JobRow
from jobfleet_contracts.ports import JobIndexReader

PAGE = 500
COLUMNS = (
    *("jobId", "jobName", "type", "state", "queue", "priority", "lockKey", "attempt"),
    *("maxAttempts", "workerId", "message", "createdAt", "updatedAt", "dueAt", "dismissed"),
)
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


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
    yield _csv_line(COLUMNS)
    async for row in job_rows(reader, query):
        shown = row.to_json()
        yield _csv_line([_cell(shown[name]) for name in COLUMNS])


async def json_lines(reader: JobIndexReader, query: JobQuery) -> AsyncIterator[bytes]:
    """Yield the jobs as JSON Lines, each as a list of jobs shows it."""
    async for row in job_rows(reader, query):
        yield encode(row.to_json()) + b"\n"


def _cell(value: Any) -> str:
    """Return a cell that no spreadsheet takes for a formula: submitters write these texts.

    Source: https://owasp.org/www-community/attacks/CSV_Injection
    """
    if value is None:
        return ""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return f"'{text}" if isinstance(value, str) and text.startswith(_FORMULA) else text


def _csv_line(cells: Any) -> bytes:
    line = io.StringIO()
    csv.writer(line).writerow(cells)
    return line.getvalue().encode()
