"""Pages over RabbitMQ and Azurite, with the requests that each costs and the rows it reads.

The application runs in this process, so that its backend can be asked what it sent. Times are the
emulator's, which looks through all its rows for each query: what counts here is requests and rows.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import perf_counter

from aiohttp import ClientSession
from pydantic import SecretStr

from devtools.bench_dashboard.landmarks import Landmarks, Sizes, landmarks, open_row_of, workers
from devtools.bench_dashboard.pages import pages
from devtools.servers import choose_own_storage, choose_rabbitmq
from jobfleet_backends.open_backend import open_backend
from jobfleet_backends.settings import Settings
from jobfleet_backends.system_clock import SystemClock
from jobfleet_cli.dashboard_process import dashboard_options
from jobfleet_contracts.backend import Backend
from jobfleet_contracts.errors import BackendUnavailable, SequenceTaken
from jobfleet_contracts.event import Event
from jobfleet_contracts.job_id import new_id
from jobfleet_dashboard.app import create_app
from jobfleet_dashboard.server import serve
from jobfleet_protocol.trail.large_data import externalise

SIZES = Sizes(long_events=2_000, waiters=500, queued=200, scheduled=50, retrying=30)
_AT_ONCE = 16
_PART = 100
_TRIES = 5


@dataclass(frozen=True, slots=True)
class Asked:
    """What one page cost, the second time it was asked for."""

    name: str
    requests: int
    rows: int
    milliseconds: float
    status: int


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


async def fill(backend: Backend, ended: int, sizes: Sizes) -> Mapping[str, str]:
    """Store jobs of all fates through the ports; return the pages to look at."""
    now = datetime.now(UTC)
    found = landmarks(now, sizes)
    limit = asyncio.Semaphore(_AT_ONCE)
    await _store(backend, list(found.large), limit)  # alone: its values have megabytes
    others = (history for history in found.histories() if history is not found.large)
    await asyncio.gather(*(_store(backend, list(history), limit) for history in others))
    first = await store_ended(backend, found, ended, now)
    for status in workers(found, now):
        await backend.directory.beat(status)
    return pages(found, first)


async def store_ended(backend: Backend, found: Landmarks, count: int, now: datetime) -> str:
    """Store ended jobs by their last event in the index, with as many rows of one long trail.

    Returns:
        The id of one more, which is stored whole.
    """
    neighbour = new_id()
    for start in range(0, count, _PART):
        numbers = range(start, min(start + _PART, count))
        ends = [_ended(found, number, now)[-1] for number in numbers]
        rows = [
            _moved(end, neighbour, number + 1) for end, number in zip(ends, numbers, strict=True)
        ]
        await _patiently(backend, rows)
        await backend.index.record(ends)
    whole = _ended(found, count, now)
    await _store(backend, whole, asyncio.Semaphore(1))
    return whole[0].job_id


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


def _ended(found: Landmarks, number: int, now: datetime) -> list[Event]:
    """Return the history of one more ended job, like that of the large one but for its values."""
    history = [replace(event, data={}) for event in found.large]
    history[0] = replace(history[0], data=found.holding[0].data)
    facts = replace(history[0].facts, job_id=new_id(), job_name=f"sort parcels {number}")
    moved = now - timedelta(seconds=number * 8.0) - history[-1].occurred_at
    return [
        replace(e, facts=facts, event_id=new_id(), occurred_at=e.occurred_at + moved)
        for e in history
    ]


async def _store(backend: Backend, history: list[Event], limit: asyncio.Semaphore) -> None:
    async with limit:
        inline = backend.limits.inline_bytes
        kept = [
            await externalise(event, backend.payloads, inline_bytes=inline) for event in history
        ]
        if (row := open_row_of(kept)) is not None:
            await backend.index.open(row)
        for start in range(0, len(kept), _PART):
            await _patiently(backend, kept[start : start + _PART])
            await backend.index.record(kept[start : start + _PART])


async def measure(folder: Path, *, jobs: int) -> list[Asked]:
    """Fill, serve, and ask for every page twice; the second time counts."""
    async with opened(folder) as (backend, settings):
        paths = await fill(backend, jobs, SIZES)
        options = dashboard_options(settings, host="127.0.0.1", port=0)
        app = create_app(backend=backend, clock=SystemClock(), options=options)
        ready: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        stop = asyncio.Event()
        serving = asyncio.create_task(
            serve(app, "127.0.0.1", 0, ready=ready.set_result, stop=stop), name="dashboard"
        )
        try:
            address = f"http://127.0.0.1:{await ready}"
            async with ClientSession(address) as session:
                return [await _ask(session, backend, name, path) for name, path in paths.items()]
        finally:
            stop.set()
            await serving


async def _ask(session: ClientSession, backend: Backend, name: str, path: str) -> Asked:
    requests = backend.requests
    assert requests is not None
    async with session.get(path) as first:
        await first.read()
    sent, read, began = requests.total(), requests.rows(), perf_counter()
    async with session.get(path) as answer:
        await answer.read()
    took = (perf_counter() - began) * 1000
    return Asked(name, requests.total() - sent, requests.rows() - read, took, answer.status)
