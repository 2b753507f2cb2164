"""Pages over an embedded database of a million events."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

from devtools.bench_dashboard.embedded_fill import (
    EVENTS_A_JOB,
    FAILED_NUMBER,
    ended_job_id,
    error_group_of,
    store_ended,
    store_landmarks,
    store_letters,
)
from devtools.bench_dashboard.landmarks import Landmarks, Sizes, landmarks, workers
from devtools.bench_dashboard.operated import Deeds, operate, places_of
from devtools.bench_dashboard.pages import pages
from devtools.bench_dashboard.places import Places
from devtools.bench_dashboard.served import dashboard
from devtools.bench_dashboard.served_here import asked_of
from devtools.bench_dashboard.timing import Timed, timed, with_counts
from devtools.bench_dashboard.viewers import Behind, measure_viewers
from jobfleet_backends.open_backend import open_backend
from jobfleet_backends.settings import Settings
from jobfleet_backends.sqlite.database import FILE_NAME
from jobfleet_backends.sqlite.schema import VERSION
from jobfleet_contracts.codec import format_time, parse_time

_PLACES = "places.json"
_LETTERS = 200
_ACTED_ON = 1_000
_FRESH = timedelta(hours=1)
"""A filled database is used again for so long: later its last hour is empty."""


async def fill(
    folder: Path, events: int, *, sizes: Sizes | None = None, deeds: Deeds | None = None
) -> Mapping[str, str]:
    """Fill a database and return the pages to look at; one as large and as new is used again."""
    known, now = folder / _PLACES, datetime.now(UTC)
    key = {"events": events, "schema": VERSION}
    if known.exists():
        stored = json.loads(known.read_text())
        filled_at = parse_time(stored["filledAt"])
        if stored["key"] == key and now - filled_at < _FRESH:
            return pages(Places(**stored["places"]), filled_at)
    _remove(folder)
    places = await _filled(folder, events, now, sizes or Sizes(), deeds or Deeds())
    made = {"key": key, "filledAt": format_time(now), "places": asdict(places)}
    known.write_text(json.dumps(made, indent=2))
    return pages(places, now)


def _remove(folder: Path) -> None:
    for old in (folder / _PLACES, *folder.glob(f"{FILE_NAME}*")):
        old.unlink(missing_ok=True)


async def _filled(folder: Path, events: int, now: datetime, sizes: Sizes, deeds: Deeds) -> Places:
    settings = Settings(data_dir=folder, _env_file=None)
    backend = await open_backend(settings)
    found = landmarks(now, sizes)
    stored = sum(len(history) for history in found.histories())
    ended = max(100, (events - stored) // EVENTS_A_JOB)
    _store(folder / FILE_NAME, found, ended, now)
    for status in workers(found, now):
        await backend.directory.beat(status)
    newest = ended - (ended - FAILED_NUMBER) % 50
    dead = [ended_job_id(n) for n in range(newest, 0, -50)][:_ACTED_ON]
    logged = found.ended[0].job_id
    done = await operate(backend, settings, dead=dead, logged=logged, deeds=deeds)
    await backend.close()
    return places_of(found, done, errors=error_group_of(newest))


def _store(path: Path, found: Landmarks, ended: int, now: datetime) -> None:
    store_ended(path, ended, now=now)
    store_landmarks(path, found)
    store_letters(path, _LETTERS, now=now)


async def measure(folder: Path, *, events: int, repeats: int) -> list[Timed]:
    """Fill, serve, time every page, and count what it asks of the database."""
    paths = await fill(folder, events)
    settings = {"JOBFLEET_DATA_DIR": str(folder)}
    asked = await asked_of(Settings(data_dir=folder, _env_file=None), paths)
    with dashboard(settings) as (address, pid):
        return with_counts(timed(address, [pid], paths.items(), repeats=repeats), asked)


async def watch(folder: Path, *, events: int, viewers: int, seconds: float) -> list[Behind]:
    """Fill, serve, and measure how far viewers are behind."""
    await fill(folder, events)
    backend = await open_backend(Settings(data_dir=folder, _env_file=None))
    try:
        with dashboard({"JOBFLEET_DATA_DIR": str(folder)}) as (address, pid):
            return await measure_viewers(backend, address, pid, viewers=viewers, seconds=seconds)
    finally:
        await backend.close()
