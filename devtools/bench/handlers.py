"""The no-op job as jobfleet runs it."""

from __future__ import annotations

from devtools.bench.ticks import tick
from jobfleet_worker.handlers.declaration import handler


@handler("bench.noop")
async def noop(sent: float) -> None:
    """Do nothing but tell that it has started."""
    tick(sent)
