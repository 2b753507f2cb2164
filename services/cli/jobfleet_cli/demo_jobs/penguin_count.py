"""A job that recurs: counts the imported penguins every few seconds."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

from jobfleet_cli.demo_jobs.penguin_table import count
from jobfleet_worker import handler, schedule


@schedule(every=timedelta(seconds=5), name="count-penguins", job_name="count penguins")
@handler("demo.count", timeout=30)
def count_penguins() -> dict[str, int]:
    """Return the number of birds in each database of the demo's folder."""
    folder = Path(os.environ.get("JOBFLEET_DATA_DIR", "."))
    return {path.stem: count(path) for path in sorted(folder.glob("penguins-*.sqlite3"))}
