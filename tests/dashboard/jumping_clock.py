"""A clock for tests of what a page costs."""

from __future__ import annotations

from datetime import UTC, datetime


class JumpingClock:
    """Jumps when it is told to, so that whatever a dashboard keeps is old by then.

    Otherwise ten milliseconds pass each time that somebody looks: what is kept for as long as it
    took is as fresh on a busy machine as on a quiet one.
    """

    def __init__(self) -> None:
        self._jumped = self._passed = 0.0

    def jump(self, seconds: float = 3600) -> None:
        self._jumped += seconds

    def now(self) -> datetime:
        return datetime.now(UTC)

    def boottime(self) -> float:
        self._passed += 0.01
        return self._jumped + self._passed
