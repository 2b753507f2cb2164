"""Committed events for live views elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

from jobfleet_contracts.event import Event


class PostgresEventFeed:
    """Says nothing: every process can follow the trail itself."""

    def announce(self, events: Sequence[Event]) -> None:
        """Do nothing."""
