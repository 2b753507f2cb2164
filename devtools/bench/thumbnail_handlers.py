"""The thumbnails as jobfleet runs them: in its processes."""

from __future__ import annotations

from devtools.bench.thumbnails import thumbnail
from devtools.bench.ticks import tick
from jobfleet_worker.handlers.declaration import handler


@handler("bench.thumbnail", run_in="process")
def make_thumbnail(sent: float) -> int:
    """Make one, and return its size."""
    tick(sent)
    return len(thumbnail(int(sent * 1000) % 1000))
