"""Pages over RabbitMQ and Azurite, with the requests that each costs and the rows it reads.

The application runs in this process, so that its backend can be asked what it sent. Times are the
emulator's, which looks through all its rows for each query: what counts here is requests and rows.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pydantic import SecretStr

from devtools.bench_dashboard.landmarks import (
    WORKER,
    History,
    Landmarks,
    Sizes,
    landmarks,
    open_row_of,
    workers,
)
from devtools.bench_dashboard.operated import Deeds, operate, places_of
from devtools.bench_dashboard.pages import pages
from devtools.bench_dashboard.served_here import Asked, ask_all, served_here
from devtools.servers import choose_own_storage, choose_rabbitmq
from jobfleet_backends.open_backend import open_backend
from jobfleet_backends.settings import Settings
from jobfleet_contracts.backend import Backend
from jobfleet_contracts.error_group import ErrorKey
from jobfleet_contracts.errors import BackendUnavailable, SequenceTaken
from jobfleet_contracts.event import Event
from jobfleet_contracts.job_id import new_id
from jobfleet_contracts.state import Status
from jobfleet_protocol.trail.large_data import externalise
from jobfleet_protocol.trail.transitions import Change, draft

SIZES = Sizes(long_events=2_000, waiters=500, queued=200, scheduled=50, retrying=30)
DEEDS = Deeds(schedules=20, limits=5, pauses=60, members=100, gone_workers=50)
ERROR = ErrorKey("bench.type-7", "QuotaExceeded", "crm.sync:step_1")
_FAILED = 7
_AT_ONCE = 16
_PART = 100
_TRIES = 5


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[tuple[Backend, Settings]]:
    """Start servers of one's own and open a backend on them."""
    rabbitmq, storage = choose_rabbitmq(folder), choose_own_storage(folder)
    rabbitmq.start()
    storage.start()
    settings = Settings(
        backend="azure",
        namespace=f"bench-{new_id()[:8]}",
        rabbitmq_url=SecretStr(rabbitmq.url),
        storage_connection_string=SecretStr(storage.connection_string),
        _env_file=None,
    )
    try:
        backend = await open_backend(settings)
        yield backend, settings
        await backend.close()
    finally:
        storage.stop()
        rabbitmq.stop()


async def fill(
    backend: Backend, settings: Settings, ended: int, sizes: Sizes, deeds: Deeds
) -> Mapping[str, str]:
    """Store jobs of all fates through the ports; return the pages to look at."""
    now = datetime.now(UTC)
    found = landmarks(now, sizes)
    limit = asyncio.Semaphore(_AT_ONCE)

    async def store(history: History) -> None:
        async with limit:
            await store_history(backend, history)

    await asyncio.gather(*map(store, found.histories()))
    dead = await store_ended(backend, found, ended, now)
    for status in workers(found, now):
        await backend.directory.beat(status)
    logged = found.ended[0].job_id
    done = await operate(backend, settings, dead=dead, logged=logged, deeds=deeds)
    return pages(places_of(found, done, errors=ERROR.group_id), now)


async def store_ended(
    backend: Backend, found: Landmarks, count: int, now: datetime
) -> Sequence[str]:
    """Store ended jobs by their last event in the index, with as many rows of one long trail.

    Returns:
        The ids of those that failed.
    """
    neighbour = new_id()
    failed: list[str] = []
    for start in range(0, count, _PART):
        numbers = range(start, min(start + _PART, count))
        ends = [_ended(found, number, now) for number in numbers]
        rows = [
            _moved(end, neighbour, number + 1) for end, number in zip(ends, numbers, strict=True)
        ]
        await _patiently(backend, rows)
        await backend.index.record(ends)
        failed += [end.job_id for end in ends if end.kind is Status.FAILED]
    return failed


async def _patiently(backend: Backend, events: Sequence[Event]) -> None:
    """Insert; the emulator stands still for seconds while it saves what it holds."""
    for _ in range(_TRIES):
        try:
            await backend.trail.insert(events)
        except BackendUnavailable:
            continue
        except SequenceTaken:
            return  # by the try before, whose answer got lost
        return
    raise BackendUnavailable("the emulator does not answer; give it fewer jobs")


def _moved(event: Event, job_id: str, sequence: int) -> Event:
    return replace(
        event,
        facts=replace(event.facts, job_id=job_id),
        after=replace(event.after, sequence=sequence),
        event_id=new_id(),
    )


def _ended(found: Landmarks, number: int, now: datetime) -> Event:
    """Return the end of one more job; every fiftieth failed."""
    end, started = found.ended[-1], found.ended[-2]
    facts = replace(
        end.facts,
        job_id=new_id(),
        job_name=f"sort parcels {number}",
        job_type=f"bench.type-{number % 40}",
    )
    moment = now - timedelta(seconds=number * 8.0)
    if number % 50 != _FAILED:
        return replace(end, facts=facts, event_id=new_id(), occurred_at=moment)
    change = Change(
        kind=Status.FAILED,
        worker_id=WORKER,
        message="host 3 refused the connection",
        duration_ms=900,
        data={"error": {"type": ERROR.error, "place": ERROR.place, "message": "refused"}},
    )
    return draft(started, replace(facts, job_type=ERROR.job_type), change, occurred_at=moment)


async def store_history(backend: Backend, history: History) -> None:
    """Store a job whole, with its open row."""
    inline = backend.limits.inline_bytes
    kept = [await externalise(event, backend.payloads, inline_bytes=inline) for event in history]
    if (row := open_row_of(kept)) is not None:
        await backend.index.open(row)
    for start in range(0, len(kept), _PART):
        await _patiently(backend, kept[start : start + _PART])
        await backend.index.record(kept[start : start + _PART])


async def measure(folder: Path, *, jobs: int) -> list[Asked]:
    """Fill, serve, and ask for every page twice; the second time counts."""
    async with opened(folder) as (backend, settings):
        paths = await fill(backend, settings, jobs, SIZES, DEEDS)
        requests = backend.requests
        assert requests is not None
        async with served_here(backend, settings) as session:
            return await ask_all(session, lambda: (requests.total(), requests.rows()), paths)
