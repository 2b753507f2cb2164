"""Filters of job lists, from options."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jobfleet_contracts.index import JobQuery
from jobfleet_contracts.state import State
from jobfleet_protocol.reading.job_filter import job_query
from jobfleet_protocol.reading.job_selection import PAGE


@dataclass(frozen=True, slots=True)
class JobFilter:
    """The options that choose jobs; ``None`` if one was not given."""

    states: Sequence[State] | None
    job_type: str | None
    queue: str | None
    text: str | None
    lock_key: str | None
    since: str | None
    until: str | None

    def fields(self) -> dict[str, str | None]:
        """Return the filter as the API takes it."""
        return {
            "state": ",".join(self.states) if self.states else None,
            "type": self.job_type,
            "queue": self.queue,
            "q": self.text,
            "lockKey": self.lock_key,
            "since": self.since,
            "until": self.until,
        }

    def query(self, *, limit: int = PAGE, cursor: str | None = None) -> JobQuery:
        """Return the filter as a question to the index.

        Raises:
            InvalidRequest: names the option that does not fit.
        """
        return job_query(self.fields(), limit=limit, cursor=cursor, prefix="--")
