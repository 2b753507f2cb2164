"""When to try again what failed."""

from __future__ import annotations

import asyncio
from math import ldexp


class BackOff:
    """Doubles the pause with each failure in a row.

    This spares the broker, and memory: the client library keeps some 4 KB of each channel that
    the broker closed with an error, until the connection ends.
    """

    def __init__(self, *, first: float, longest: float) -> None:
        self._first = first
        self._longest = longest
        self._now = asyncio.get_running_loop().time
        self._failures = 0
        self._failed_at = 0.0

    @property
    def pause(self) -> float:
        """Seconds from the last failure to the next attempt."""
        if self._failures == 0:
            return 0.0
        # A bounded exponent: a float has none for years of failures.
        return min(ldexp(self._first, min(self._failures - 1, 30)), self._longest)

    @property
    def remaining(self) -> float:
        """Seconds from now to the next attempt; 0 if it may be made."""
        return max(0.0, self._failed_at + self.pause - self._now()) if self._failures else 0.0

    def failed(self) -> None:
        """An attempt failed just now."""
        self._failures += 1
        self._failed_at = self._now()

    def succeeded(self) -> None:
        """The next failure is the first again."""
        self._failures = 0
