"""A clock for tests of what a page costs."""

from __future__ import annotations

import time
from datetime import UTC, datetime


class JumpingClock:
    """Jumps when it is told to, so that whatever a dashboard keeps is old by then."""

    def __init__(self) -> None:
        self._jumped = 0.0

    def jump(self) -> None:
        self._jumped += 3600

    def now(self) -> datetime:
        return datetime.now(UTC)

    def boottime(self) -> float:
        return time.monotonic() + self._jumped
