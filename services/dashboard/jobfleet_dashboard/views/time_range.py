"""The range of time that a list shows, as addresses and the picker hold it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from jobfleet_contracts.codec import format_time, parse_optional_time, parse_time
from jobfleet_contracts.errors import InvalidRequest
from jobfleet_protocol.reading.job_filter import parse_moment

WINDOWS: Mapping[str, timedelta] = {
    "15m": timedelta(minutes=15),
    "1h": timedelta(hours=1),
    "24h": timedelta(days=1),
    "7d": timedelta(days=7),
}
WINDOW_NAMES: Mapping[str, str] = {
    "": "any time",
    "15m": "last 15 min",
    "1h": "last hour",
    "24h": "last day",
    "7d": "last 7 days",
}
BACKWARDS = "until: must be later than since; both are left out"
_SECONDS = len("2026-01-31T09:30:00")


@dataclass(frozen=True, slots=True)
class TimeRange:
    """A window that ends now, or exact times; exact times win.

    Attributes:
        window: a name out of ``WINDOWS``, or empty for any time.
        since, until: RFC 3339 in UTC, or empty.
    """

    window: str = ""
    since: str = ""
    until: str = ""

    @classmethod
    def of(cls, given: Mapping[str, str], problems: list[str]) -> TimeRange:
        """Read query parameters; what is wrong is left out and added to ``problems``."""
        since = _moment("since", given.get("since", ""), problems)
        until = _moment("until", given.get("until", ""), problems)
        if since and until and parse_time(since) >= parse_time(until):
            problems.append(BACKWARDS)
            since = until = ""
        window = given.get("window", "")
        if window and window not in WINDOWS:
            problems.append(f"window: {window[:50]!r} is not one of {', '.join(WINDOWS)}")
            window = ""
        return cls("" if since or until else window, since, until)

    def pairs(self) -> list[tuple[str, str]]:
        """Return its query parameters."""
        given = (("window", self.window), ("since", self.since), ("until", self.until))
        return [(name, value) for name, value in given if value]

    def begin(self, now: datetime) -> list[tuple[str, str]]:
        """Return the query parameters by which the API knows a window."""
        return [("since", format_time(now - WINDOWS[self.window]))] if self.window else []

    def bounds(self, now: datetime) -> tuple[datetime | None, datetime | None]:
        """Return where it begins and ends, ``None`` if it is open."""
        if self.window:
            return now - WINDOWS[self.window], None
        return parse_optional_time(self.since or None), parse_optional_time(self.until or None)


ANY_TIME = TimeRange()


def address_time(moment: datetime) -> str:
    """Return a time as addresses hold it: RFC 3339, as short as it can be."""
    return format_time(moment).replace(".000000Z", "Z")


def input_value(moment: str) -> str:
    """Return a time as ``datetime-local`` inputs hold it: in UTC, without a zone."""
    return moment[:_SECONDS].removesuffix(":00") if moment else ""


def _moment(name: str, value: str, problems: list[str]) -> str:
    """Return a time with its zone; what the picker sends without scripts is UTC and has none."""
    if not value:
        return ""
    try:
        return address_time(parse_moment(value, name))
    except InvalidRequest as error:
        try:
            return address_time(parse_moment(f"{value}Z", name))
        except InvalidRequest:
            problems.append(str(error))
            return ""
