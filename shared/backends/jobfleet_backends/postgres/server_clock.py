"""How far this machine's clock is from the server's, as the answers to heartbeats show."""

from __future__ import annotations

from datetime import datetime

from jobfleet_contracts.ports import Clock


class ServerClock:
    """Keeps what the last answer showed.

    The server read its clock between the start of the request and the end of the answer. So one
    answer gives a range as wide as the request took.
    """

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock
        self._low, self._high = 0.0, 0.0

    def note(self, server: datetime, *, sent_at: datetime) -> None:
        """Take in an answer that has just come."""
        self._low = (sent_at - server).total_seconds()
        self._high = (self._clock.now() - server).total_seconds()

    def seconds(self) -> float:
        """Return by how much this machine is ahead at least, negative if it is behind."""
        if self._low > 0:
            return self._low
        return min(self._high, 0.0)
