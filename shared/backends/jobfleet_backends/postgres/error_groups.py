"""Failures by what failed where: counted as the trail is written, added up when they are read."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime

from jobfleet_backends.postgres.batch import Fields
from jobfleet_backends.postgres.database import Database
from jobfleet_contracts.codec import format_time, parse_time
from jobfleet_contracts.cut_text import cut_text
from jobfleet_contracts.error_group import (
    MAX_SAMPLE_CHARACTERS,
    MOST_GROUPS,
    OTHER,
    ErrorGroup,
    ErrorKey,
    ErrorSummary,
    FailureCount,
    error_key_of,
    merged,
)
from jobfleet_contracts.event import Event
from jobfleet_contracts.index import TimeStep

MOST_ROWS = 20_000
"""Counts read for one answer; the newest ones."""

# The step is found in UTC, whatever time zone the session has.
_ERRORS = """
SELECT date_trunc(%s, minute AT TIME ZONE 'UTC')::text, job_type, error, place,
    sum(jobs)::bigint, sum(retried)::bigint, min(first_at), max(last_at),
    (pg_catalog.array_agg(message ORDER BY last_at DESC))[1],
    (pg_catalog.array_agg(job_id ORDER BY last_at DESC))[1]
FROM jobfleet.errors WHERE minute >= %s GROUP BY 1, 2, 3, 4 ORDER BY 1 DESC LIMIT %s
"""


class ErrorGroups:
    """Names the group of each failure; those beyond the most of an hour count as ``OTHER``."""

    def __init__(self) -> None:
        self._hour: datetime | None = None
        self._known: set[ErrorKey] = set()

    def fields(self, event: Event) -> Fields:
        """Return what the trail's statement counts the event by; nothing if it is not a failure."""
        key = error_key_of(event)
        if key is None:
            return {}
        hour = event.occurred_at.replace(minute=0, second=0, microsecond=0)
        if hour != self._hour:
            self._hour, self._known = hour, set()
        if len(self._known) < MOST_GROUPS:
            self._known.add(key)
        group = key if key in self._known else OTHER
        return {
            "failed_type": group.job_type,
            "failed_error": group.error,
            "failed_place": group.place,
            "failed_message": cut_text(event.message, MAX_SAMPLE_CHARACTERS),
        }


def begin_of(since: datetime, step: TimeStep) -> datetime:
    """Return the beginning of the step in which a moment lies."""
    begin = since.astimezone(UTC).replace(second=0, microsecond=0)
    return begin.replace(minute=0) if step == "hour" else begin


async def read_errors(database: Database, *, since: datetime, step: TimeStep) -> ErrorSummary:
    """Return the groups since the step in which a moment lies."""
    begin = format_time(begin_of(since, step))
    rows = await database.fetch(_ERRORS, step, begin, MOST_ROWS + 1)
    found: list[ErrorGroup] = []
    for start, job_type, error, place, jobs, retried, first, last, message, job_id in rows:
        with suppress(ValueError):  # a row edited by hand must not hide all others
            group = ErrorGroup(
                key=ErrorKey(job_type, error, place),
                first_at=parse_time(first),
                last_at=parse_time(last),
                message=message,
                job_id=job_id,
                steps={parse_time(f"{start}+00"): FailureCount(jobs, retried)},
            )
            found.append(group)
    back_to = parse_time(f"{rows[-1][0]}+00") if len(rows) > MOST_ROWS else None
    return ErrorSummary(merged(found), back_to)
