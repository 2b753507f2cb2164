"""The filter of the list of events: it is the URL, and the URL is it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import ClassVar

from jobfleet_contracts.index import EventQuery
from jobfleet_dashboard.views.list_address import ListAddress, export_addresses, way_back
from jobfleet_dashboard.views.time_range import ANY_TIME, TimeRange, address_time
from jobfleet_protocol.reading.job_filter import MAX_SEARCH
from jobfleet_protocol.reading.search import SearchError, narrow_events

PAGE_SIZE = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFilter(ListAddress):
    """What the list shows.

    Attributes:
        problems: what in the URL was wrong and is ignored, for people.
        misspelt: which word of the search does not fit; then no event is found.
    """

    path: ClassVar[str] = "/events"
    text: str = ""
    range: TimeRange = ANY_TIME
    problems: tuple[str, ...] = ()
    misspelt: SearchError | None = None

    @property
    def is_live(self) -> bool:
        """Whether new events belong to the page."""
        return not self.cursor and not self.range.until and self.misspelt is None

    def pairs(self) -> list[tuple[str, str]]:
        """Return the query parameters of the filter alone, without a place in the list."""
        return [*([("q", self.text)] if self.text else []), *self.range.pairs()]

    def within(self, since: datetime, until: datetime) -> str:
        """Return the address of the same search in another range."""
        times = TimeRange("", address_time(since), address_time(until))
        return replace(self, range=times).url()

    def exports(self, now: datetime) -> list[tuple[str, str]]:
        """Return the names and addresses of the same list as files."""
        pairs = [(name, value) for name, value in self.pairs() if name != "window"]
        return export_addresses("/api/events/export", pairs + self.range.begin(now))

    def query(self, now: datetime) -> EventQuery:
        """Return the question to the timeline."""
        since, until = self.range.bounds(now)
        query = EventQuery(since=since, until=until, limit=PAGE_SIZE, cursor=self.cursor or None)
        if self.misspelt is not None:
            return replace(query, nothing=True)
        return narrow_events(query, self.text)


def parse_filter(pairs: Sequence[tuple[str, str]]) -> EventFilter:
    """Read query parameters; what is wrong is left out and named in ``problems``."""
    given = {name: value.strip() for name, value in pairs}
    problems: list[str] = []
    text = given.get("q", "")[:MAX_SEARCH]
    times = TimeRange.of(given, problems)
    return EventFilter(
        text=text,
        range=times,
        cursor=given.get("cursor", ""),
        back=way_back(pairs),
        problems=tuple(problems),
        misspelt=_misspelt(text),
    )


def _misspelt(search: str) -> SearchError | None:
    try:
        narrow_events(EventQuery(), search)
    except SearchError as error:
        return error
    return None
