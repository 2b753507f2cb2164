"""Filters of job lists, from options."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from jobfleet_contracts.codec import parse_time
from jobfleet_contracts.errors import InvalidRequest
from jobfleet_contracts.index import JobQuery
from jobfleet_contracts.state import State


def job_query(
    *,
    states: Sequence[State] | None,
    job_type: str | None,
    queue: str | None,
    text: str | None,
    lock_key: str | None,
    since: str | None,
    until: str | None,
    limit: int,
    cursor: str | None,
) -> JobQuery:
    """Return the question to the index.

    Raises:
        InvalidRequest: names the time that is none.
    """
    return JobQuery(
        states=frozenset(states or ()),
        job_type=job_type,
        queue=queue,
        text=text,
        lock_key=lock_key,
        since=_moment(since, "since"),
        until=_moment(until, "until"),
        limit=limit,
        cursor=cursor,
    )


def _moment(text: str | None, field: str) -> datetime | None:
    if text is None:
        return None
    try:
        return parse_time(text)
    except ValueError as error:
        raise InvalidRequest(f"--{field}: {error}", field=field) from error
