"""The filter of the job list: it is the URL, and the URL is it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import ClassVar, TypeVar
from uuid import UUID

from jobfleet_contracts.errors import InvalidRequest
from jobfleet_contracts.index import JobQuery
from jobfleet_contracts.state import State
from jobfleet_dashboard.views.list_address import ListAddress, export_addresses, way_back
from jobfleet_dashboard.views.time_range import ANY_TIME, TimeRange
from jobfleet_protocol.reading.job_filter import (
    MAX_SEARCH,
    MAX_TEXT,
    parse_group,
    parse_queue,
    parse_states,
)
from jobfleet_protocol.reading.search import SearchError, narrow

PAGE_SIZE = 50
T = TypeVar("T")
_ID_CHARACTERS = 36


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFilter(ListAddress):
    """What the list shows.

    Attributes:
        range: when the jobs changed last.
        text: a search in the grammar of ``reading/search``.
        problems: what in the URL was wrong and is ignored, for people.
        misspelt: which word of the search does not fit; then no job is found.
    """

    path: ClassVar[str] = "/jobs"
    states: tuple[State, ...] = ()
    job_type: str = ""
    queue: str = ""
    lock_key: str = ""
    error_group: str = ""
    text: str = ""
    range: TimeRange = ANY_TIME
    problems: tuple[str, ...] = ()
    misspelt: SearchError | None = None

    @property
    def is_empty(self) -> bool:
        """Whether it lets every job through."""
        return not self.pairs()

    @property
    def only_states(self) -> bool:
        """Whether it chooses by state alone: only then do counts of the fleet fit its list."""
        return all(name == "state" for name, _ in self.pairs())

    @property
    def job_id(self) -> str | None:
        """The id that was searched for, if that is all there is and no list is browsed."""
        try:
            job_id = str(UUID(self.text)) if len(self.text) == _ID_CHARACTERS else None
        except ValueError:
            return None
        return job_id if self.pairs() == [("q", self.text)] and not self.cursor else None

    def pairs(self) -> list[tuple[str, str]]:
        """Return the query parameters of the filter alone, without a place in the list."""
        single = (
            ("type", self.job_type),
            ("queue", self.queue),
            ("lock", self.lock_key),
            ("error_group", self.error_group),
            ("q", self.text),
        )
        states = [("state", state.value) for state in self.states]
        return states + [(name, value) for name, value in single if value] + self.range.pairs()

    def words(self) -> str:
        """Return the filter in words, as dialogs and the list of actions restate it."""
        return ", ".join(f"{name} {value}" for name, value in self.pairs())

    def exports(self, now: datetime) -> list[tuple[str, str]]:
        """Return the names and addresses of the same list as files."""
        names = {"lock": "lockKey", "error_group": "errorGroup"}
        pairs = [(names.get(n, n), v) for n, v in self.pairs() if n not in ("state", "window")]
        if self.states:
            pairs.append(("state", ",".join(state.value for state in self.states)))
        return export_addresses("/api/jobs/export", pairs + self.range.begin(now))

    def query(self, now: datetime, *, limit: int = PAGE_SIZE) -> JobQuery:
        """Return the question to the index."""
        since, until = self.range.bounds(now)
        query = JobQuery(
            states=frozenset(self.states),
            job_type=self.job_type or None,
            queue=self.queue or None,
            lock_key=self.lock_key or None,
            error_group=self.error_group or None,
            since=since,
            until=until,
            limit=limit,
            cursor=self.cursor or None,
        )
        if self.misspelt is not None:
            return replace(query, nothing=True)
        return narrow(query, self.text)


def parse_filter(pairs: Sequence[tuple[str, str]]) -> JobFilter:
    """Read query parameters; what is wrong is left out and named in ``problems``."""
    given = {name: value.strip() for name, value in pairs}
    problems: list[str] = []
    return JobFilter(
        states=_states([value for name, value in pairs if name == "state"], problems),
        job_type=given.get("type", "")[:100],
        queue=_queue(given.get("queue", ""), problems),
        lock_key=given.get("lock", "")[:MAX_TEXT],
        error_group=_checked(given.get("error_group", ""), parse_group, problems) or "",
        text=given.get("q", "")[:MAX_SEARCH],
        range=TimeRange.of(given, problems),
        cursor=given.get("cursor", ""),
        back=way_back(pairs),
        problems=tuple(problems),
        misspelt=_misspelt(given.get("q", "")[:MAX_SEARCH]),
    )


def _misspelt(search: str) -> SearchError | None:
    try:
        narrow(JobQuery(), search)
    except SearchError as error:
        return error
    return None


def _states(values: Sequence[str], problems: list[str]) -> tuple[State, ...]:
    known: list[State] = []
    for value in filter(None, values):
        known += _checked(value, lambda text: parse_states([text]), problems) or ()
    return tuple(dict.fromkeys(known))


def _queue(value: str, problems: list[str]) -> str:
    return _checked(value, parse_queue, problems) or ""


def _checked(value: str, parse: Callable[[str], T], problems: list[str]) -> T | None:
    """Return what a field says; ``None`` if it is empty, or wrong, which is noted."""
    try:
        return parse(value) if value else None
    except InvalidRequest as error:
        problems.append(str(error))
        return None
