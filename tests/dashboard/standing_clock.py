"""A clock that stands until a test moves it."""

from __future__ import annotations

from datetime import datetime, timedelta


class StandingClock:
    """Shows ``start`` and what has passed since; a test adds to ``passed``."""

    def __init__(self, start: datetime) -> None:
        self._start = start
        self.passed = timedelta()

    def now(self) -> datetime:
        return self._start + self.passed

    def boottime(self) -> float:
        return self.passed.total_seconds()
