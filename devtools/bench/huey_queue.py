"""The no-op job in Huey on SQLite, with Huey's own settings but for results, which nobody reads."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from huey import SqliteHuey

from devtools.bench.ticks import tick


def noop(sent: float) -> None:
    """Do nothing but tell that it has started."""
    tick(sent)


class HueyQueue:
    """One queue in one file."""

    def __init__(self, file: Path) -> None:
        self.huey = SqliteHuey("bench", filename=str(file), results=False)
        self._noop: Any = self.huey.task()(noop)

    def submit(self, jobs: int) -> None:
        """Enqueue one after the other: Huey has no other way."""
        for _ in range(jobs):
            self._noop(time.time())
