"""Says in the log that the broker went away or came back: once per change."""

from __future__ import annotations

import structlog

BROKER_LOST = "broker.lost"
BROKER_REACHED = "broker.reached"

log = structlog.get_logger()


class Reachability:
    """What is known of the broker, shared by all connections to it."""

    def __init__(self, *, address: str) -> None:
        self._address = address
        self._problem: str | None = None
        self._known = False

    def reached(self) -> None:
        """A connection was opened."""
        if not self._known or self._problem is not None:
            log.info(BROKER_REACHED, address=self._address)
        self._known, self._problem = True, None

    def lost(self, problem: str) -> None:
        """A connection broke, or could not be opened."""
        if not self._known or self._problem is None:
            log.warning(BROKER_LOST, address=self._address, problem=problem)
        self._known, self._problem = True, problem
