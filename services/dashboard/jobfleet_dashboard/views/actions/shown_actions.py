"""The filter of the lists of actions: it is the URL, and the URL is it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode

from jobfleet_contracts.state import Status
from jobfleet_dashboard.views.time_range import ANY_TIME, TimeRange
from jobfleet_protocol.reading.job_filter import MAX_TEXT
from jobfleet_protocol.reading.journal import ActionFilter, Verb

ON_JOBS: Mapping[Verb, frozenset[str]] = {
    Verb.CANCEL: frozenset({Status.CANCEL_REQUESTED, Status.CANCELLED}),
    Verb.REDRIVE: frozenset({Status.REDRIVEN}),
    Verb.DISMISS: frozenset({Status.DISMISSED}),
    Verb.ERASE: frozenset({Status.ERASED}),
}
"""What people do to single jobs, and the events that tell it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownActions:
    """What the list shows.

    Attributes:
        problems: what in the URL was wrong and is ignored, for people.
    """

    by: str = ""
    verb: Verb | None = None
    range: TimeRange = ANY_TIME
    problems: tuple[str, ...] = ()

    def pairs(self) -> list[tuple[str, str]]:
        """Return the query parameters."""
        given = (("by", self.by), ("verb", self.verb or ""))
        return [(name, value) for name, value in given if value] + self.range.pairs()

    def url(self, path: str, cursor: str | None = None) -> str:
        """Return the address of a page of the list at this path."""
        pairs = [*self.pairs(), *([("cursor", cursor)] if cursor else [])]
        return f"{path}?{urlencode(pairs)}" if pairs else path

    def wanted(self, now: datetime) -> ActionFilter:
        """Return the question to the journal."""
        since, until = self.range.bounds(now)
        return ActionFilter(by=self.by, verb=self.verb, since=since, until=until)

    def statuses(self) -> frozenset[str]:
        """Return the events of single jobs that tell it; empty if none does."""
        if self.verb is None:
            return frozenset().union(*ON_JOBS.values())
        return ON_JOBS.get(self.verb, frozenset())


def parse_actions(pairs: Sequence[tuple[str, str]]) -> ShownActions:
    """Read query parameters; what is wrong is left out and named in ``problems``."""
    given = {name: value.strip() for name, value in pairs}
    problems: list[str] = []
    return ShownActions(
        by=given.get("by", "")[:MAX_TEXT],
        verb=_verb(given.get("verb", ""), problems),
        range=TimeRange.of(given, problems),
        problems=tuple(problems),
    )


def _verb(value: str, problems: list[str]) -> Verb | None:
    try:
        return Verb(value) if value else None
    except ValueError:
        problems.append(f"verb: {value[:50]!r} is none of {', '.join(Verb)}")
        return None
