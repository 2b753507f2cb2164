"""Filters of job lists, from options."""

from __future__ import annotations

from collections.abc import Sequence

from jobfleet_contracts.index import JobQuery
from jobfleet_contracts.state import State
from jobfleet_protocol.reading.job_filter import job_query
from jobfleet_protocol.reading.job_selection import PAGE


def query_of(
    states: Sequence[State] | None,
    job_type: str | None,
    queue: str | None,
    text: str | None,
    lock_key: str | None,
    since: str | None,
    until: str | None,
    *,
    limit: int = PAGE,
    cursor: str | None = None,
) -> JobQuery:
    """Return the question to the index.

    Raises:
        InvalidRequest: names the option that does not fit.
    """
    fields = fields_of(states, job_type, queue, text, lock_key, since, until)
    return job_query(fields, limit=limit, cursor=cursor, prefix="--")


def fields_of(
    states: Sequence[State] | None,
    job_type: str | None,
    queue: str | None,
    text: str | None,
    lock_key: str | None,
    since: str | None,
    until: str | None,
) -> dict[str, str | None]:
    """Return the filter as the API takes it."""
    return {
        "state": ",".join(states) if states else None,
        "type": job_type,
        "queue": queue,
        "q": text,
        "lockKey": lock_key,
        "since": since,
        "until": until,
    }
