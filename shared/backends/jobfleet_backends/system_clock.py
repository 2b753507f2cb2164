"""The clock of a running process."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from threading import Lock

_BOOTTIME = getattr(time, "CLOCK_BOOTTIME", None) or time.CLOCK_MONOTONIC


class SystemClock:
    """Wall time that follows the system clock and never falls.

    If the system clock is set forward, this clock follows at once: due times count by the corrected
    clock. If it is set back, this clock runs at half speed until both agree, as time servers slew.
    So a retry due in 5 s starts within 10 s, and the times in a trail keep their order.

    ``CLOCK_BOOTTIME`` runs on while the machine sleeps; macOS has no such name, and there
    ``CLOCK_MONOTONIC`` is used.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._shown = self._wall()
        self._shown_at = self.boottime()

    def now(self) -> datetime:
        """Return wall time in UTC. Safe to call from several threads."""
        with self._lock:
            wall, boottime = self._wall(), self.boottime()
            elapsed = timedelta(seconds=boottime - self._shown_at)
            if wall < self._shown + elapsed:
                wall = max(wall, self._shown + elapsed / 2)
            self._shown, self._shown_at = wall, boottime
            return wall

    def boottime(self) -> float:
        """Return seconds since the machine started, sleep included."""
        return time.clock_gettime(_BOOTTIME)

    def _wall(self) -> datetime:
        return datetime.now(UTC)
