"""A clock that a test moves on."""

from __future__ import annotations

from datetime import datetime, timedelta

from jobfleet_backends.system_clock import SystemClock


class SteeredClock(SystemClock):
    """Runs like the system's, and jumps ahead where a test says so: leases end, jobs fall due."""

    def __init__(self) -> None:
        self._ahead = 0.0
        super().__init__()

    def advance(self, seconds: float) -> None:
        self._ahead += seconds

    def boottime(self) -> float:
        return super().boottime() + self._ahead

    def _wall(self) -> datetime:
        return super()._wall() + timedelta(seconds=self._ahead)
