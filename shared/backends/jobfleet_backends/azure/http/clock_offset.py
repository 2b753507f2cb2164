"""How far this machine's clock is from the storage's, as the ``Date`` of each answer shows."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime

from jobfleet_contracts.ports import Clock

KEPT_SECONDS = 60.0
"""Measurements are kept so long; then it begins anew, since clocks drift."""
_ONE_SECOND = timedelta(seconds=1)
"""``Date`` has no fractions: the storage's clock showed it, or up to a second more."""


class ClockOffset:
    """Narrows the offset down with each answer.

    The storage wrote ``Date`` between the start of the request and the end of the answer. So one
    answer gives a range of at least a second, and many answers together a narrow one.
    """

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock
        self._low, self._high = -math.inf, math.inf
        self._since = -math.inf

    def now(self) -> datetime:
        """Return the time of this machine, to hand back to ``note``."""
        return self._clock.now()

    def note(self, date: str | None, *, sent_at: datetime) -> None:
        """Take in an answer that has just come; one without a date says nothing."""
        try:
            storage = parsedate_to_datetime(date or "")
        except ValueError:
            return
        if storage.tzinfo is None:
            return
        low = (sent_at - storage - _ONE_SECOND).total_seconds()
        high = (self._clock.now() - storage).total_seconds()
        is_old = self._clock.boottime() - self._since > KEPT_SECONDS
        if is_old or low > self._high or high < self._low:
            # Ranges that do not overlap: a clock was set since. Only the newest counts.
            self._low, self._high = low, high
            self._since = self._clock.boottime()
        else:
            self._low, self._high = max(self._low, low), min(self._high, high)

    def seconds(self) -> float:
        """Return by how much this machine is ahead at least, negative if it is behind."""
        if self._low > 0:
            return self._low
        return min(self._high, 0.0)
