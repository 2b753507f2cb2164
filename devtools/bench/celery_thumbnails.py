"""The thumbnails as Celery runs them: in its prefork pool, without results."""

from __future__ import annotations

import os
import time

from devtools.bench.by_hand import BROKER, QUEUE, make_app
from devtools.bench.thumbnails import thumbnail
from devtools.bench.ticks import tick

app = make_app(os.environ.get(BROKER, "memory://"), os.environ.get(QUEUE, "none"))


@app.task(name="thumbnails.make")  # type: ignore[untyped-decorator]
def make_thumbnail(sent: float) -> int:
    """Make one, and return its size."""
    tick(sent)
    return len(thumbnail(int(sent * 1000) % 1000))


def submit(jobs: int, *, broker: str, queue: str) -> None:
    """Send that many, one after the other; without confirms, as Celery does."""
    sender = make_app(broker, queue)
    with sender.connection_for_write() as connection:
        for _ in range(jobs):
            sender.send_task("thumbnails.make", args=[time.time()], connection=connection)
