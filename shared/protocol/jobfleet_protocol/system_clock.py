"""The machine's time, as every process of a fleet reads it."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

_BOOTTIME = getattr(time, "CLOCK_BOOTTIME", None)


class SystemClock:
    """Wall time anchored at the start, so that later steps of the system clock do not show."""

    def __init__(self) -> None:
        self._started_at = datetime.now(UTC)
        self._started = self.boottime()

    def now(self) -> datetime:
        """Return wall time in UTC: the time of the start and what has passed since."""
        return self._started_at + timedelta(seconds=self.boottime() - self._started)

    def boottime(self) -> float:
        """Return seconds that go on while the machine sleeps.

        ``CLOCK_BOOTTIME`` on Linux; the monotonic clock of macOS does the same.
        """
        return time.monotonic() if _BOOTTIME is None else time.clock_gettime(_BOOTTIME)
