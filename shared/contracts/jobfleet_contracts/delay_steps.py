"""How long a message that was published for later stays away."""

from __future__ import annotations

from datetime import timedelta

DELAY_SECONDS = (1, 5, 10, 30, 60, 300, 900, 3600)
"""A broker's delay queues; the embedded and the SQL queues keep a message for the delay itself."""


def delay_step(delay: timedelta) -> int:
    """Return the largest step in seconds that fits into the delay, at least the shortest."""
    fitting = [step for step in DELAY_SECONDS if step <= delay.total_seconds()]
    return fitting[-1] if fitting else DELAY_SECONDS[0]
