"""Failures by what failed where, as a trigger counted them."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime

from jobfleet_contracts.codec import format_time
from jobfleet_contracts.error_group import (
    ErrorGroup,
    ErrorKey,
    ErrorSummary,
    FailureCount,
    merged,
)
from jobfleet_contracts.index import TimeStep

MOST_ROWS = 20_000
"""Counts read for one answer; the newest ones."""

_ERRORS = """
SELECT start, job_type, error, place, jobs, retried, first_at, last_at, message, job_id
FROM errors WHERE step = ? AND start >= ? AND jobs + retried > 0 ORDER BY start DESC LIMIT ?
"""
_LENGTHS: Mapping[TimeStep, int] = {"minute": 16, "hour": 13}


def read_errors(connection: sqlite3.Connection, since: datetime, step: TimeStep) -> ErrorSummary:
    """Return the groups since the step in which a moment lies."""
    values = (step, format_time(since)[: _LENGTHS[step]], MOST_ROWS + 1)
    rows = connection.execute(_ERRORS, values).fetchall()
    found: list[ErrorGroup] = []
    for start, job_type, error, place, jobs, retried, first, last, message, job_id in rows:
        with suppress(ValueError):  # a row edited by hand must not hide all others
            group = ErrorGroup(
                key=ErrorKey(job_type, error, place),
                first_at=datetime.fromisoformat(first),
                last_at=datetime.fromisoformat(last),
                message=message,
                job_id=job_id,
                steps={start_of(start): FailureCount(jobs, retried)},
            )
            found.append(group)
    back_to = start_of(rows[-1][0]) if len(rows) > MOST_ROWS else None
    return ErrorSummary(merged(found), back_to)


def start_of(text: str) -> datetime:
    """Return the beginning of a stored minute or hour."""
    return datetime.fromisoformat(text if ":" in text else f"{text}:00").replace(tzinfo=UTC)
