"""Pages over an embedded database of a million events."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from devtools.bench_dashboard.embedded_fill import (
    EVENTS_A_JOB,
    ended_job_id,
    store_ended,
    store_landmarks,
    store_letters,
)
from devtools.bench_dashboard.landmarks import Landmarks, Sizes, landmarks, workers
from devtools.bench_dashboard.pages import pages
from devtools.bench_dashboard.served import dashboard
from devtools.bench_dashboard.timing import Timed, timed
from devtools.bench_dashboard.viewers import Behind, measure_viewers
from jobfleet_backends.open_backend import open_backend
from jobfleet_backends.settings import Settings
from jobfleet_backends.sqlite.database import FILE_NAME

_PATHS = "pages.json"
_LETTERS = 200


async def fill(folder: Path, events: int, *, sizes: Sizes | None = None) -> Mapping[str, str]:
    """Fill a new database and return the pages to look at; one that is there is used again."""
    known = folder / _PATHS
    if known.exists():
        paths: dict[str, str] = json.loads(known.read_text())
        return paths
    now = datetime.now(UTC)
    backend = await open_backend(Settings(data_dir=folder, _env_file=None))
    found = landmarks(now, sizes or Sizes())
    stored = sum(len(history) for history in found.histories())
    ended = max(1, (events - stored) // EVENTS_A_JOB)
    _store(folder / FILE_NAME, found, ended, now)
    for status in workers(found, now):
        await backend.directory.beat(status)
    await backend.close()
    paths = dict(pages(found, ended_job_id(ended // 2)))
    known.write_text(json.dumps(paths, indent=2))
    return paths


def _store(path: Path, found: Landmarks, ended: int, now: datetime) -> None:
    store_ended(path, ended, now=now)
    store_landmarks(path, found)
    store_letters(path, _LETTERS, now=now)


async def measure(folder: Path, *, events: int, repeats: int) -> list[Timed]:
    """Fill, serve, and time every page."""
    paths = await fill(folder, events)
    with dashboard({"JOBFLEET_DATA_DIR": str(folder)}) as (address, pid):
        return timed(address, pid, paths.items(), repeats=repeats)


async def watch(folder: Path, *, events: int, viewers: int, seconds: float) -> list[Behind]:
    """Fill, serve, and measure how far viewers are behind."""
    await fill(folder, events)
    backend = await open_backend(Settings(data_dir=folder, _env_file=None))
    try:
        with dashboard({"JOBFLEET_DATA_DIR": str(folder)}) as (address, pid):
            return await measure_viewers(backend, address, pid, viewers=viewers, seconds=seconds)
    finally:
        await backend.close()
