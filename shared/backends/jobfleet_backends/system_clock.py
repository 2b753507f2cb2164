"""The clock of a running process."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

_BOOTTIME = getattr(time, "CLOCK_BOOTTIME", None) or time.CLOCK_MONOTONIC


class SystemClock:
    """Wall time as it was at the start, moved on by a clock that nobody can set.

    ``CLOCK_BOOTTIME`` runs on while the machine sleeps; macOS has no such name, and there
    ``CLOCK_MONOTONIC`` is used.
    """

    def __init__(self) -> None:
        self._started_at = datetime.now(UTC)
        self._started = self.boottime()

    def now(self) -> datetime:
        """Return wall time in UTC; steps of the system clock after the start do not show."""
        return self._started_at + timedelta(seconds=self.boottime() - self._started)

    def boottime(self) -> float:
        """Return seconds since the machine started, sleep included."""
        return time.clock_gettime(_BOOTTIME)
