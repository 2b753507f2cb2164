"""How long a job waits that its handler has deferred."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from jobfleet_contracts.event import Event
from jobfleet_contracts.state import Status

SHORTEST_PAUSE = timedelta(seconds=1)
LONGEST_PAUSE = timedelta(seconds=60)
DEFERRALS_A_DOUBLING = 10


def handler_pause(asked: timedelta, deferrals: int) -> timedelta:
    """Return how long to wait: what the handler asked for, but a second at least.

    Each deferral is two events that stay for good. So the least pause doubles with every ten
    deferrals without progress in between, up to a minute.

    Args:
        deferrals: how often the handler deferred the job just before.
    """
    doublings = min(deferrals // DEFERRALS_A_DOUBLING, 10)
    return max(asked, min(SHORTEST_PAUSE * (1 << doublings), LONGEST_PAUSE))


def deferral_data(deferrals: int) -> dict[str, Any]:
    """Return what the event of a deferral by the handler holds."""
    return {"reason": "handler", "deferrals": deferrals}


def deferrals_after(event: Event) -> int:
    """Return how often the handler has deferred the job in a row, up to and with this event."""
    noted = event.data.get("deferrals") if event.kind is Status.DEFERRED else None
    return noted + 1 if isinstance(noted, int) else 0
