"""Does what is stored make jobs, lists or histories slower? Measured at growing sizes.

Workers and reader run in this process, so that the requests of a job can be counted.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from pydantic import SecretStr

from devtools.bench.jobfleet_queue import NOOP, submit_all
from devtools.bench.machine import load, pace_ms
from devtools.bench_dashboard import azure_row, embedded_fill
from devtools.bench_dashboard.landmarks import landmarks
from devtools.servers import RabbitMQServer, choose_own_storage
from jobfleet_backends.open_backend import open_backend
from jobfleet_backends.settings import Settings
from jobfleet_backends.sqlite.database import FILE_NAME
from jobfleet_backends.system_clock import SystemClock
from jobfleet_cli.event_loop import run_async
from jobfleet_cli.worker_process import worker_options
from jobfleet_contracts.backend import Backend
from jobfleet_contracts.index import EventQuery, JobQuery
from jobfleet_worker.handlers.declaration import handler
from jobfleet_worker.handlers.registry import Handlers
from jobfleet_worker.worker import Worker

EMBEDDED_SIZES = (1_000, 10_000, 100_000, 1_000_000)
AZURE_SIZES = (1_000, 10_000, 20_000)
"""The emulator looks through all its rows for a query: more would measure the emulator."""

JOBS = 500
_LOOKS = 9
_PART = 20_000
_HEADER = (
    f"{'':10}{'stored':>10}{'jobs/s':>8}{'us CPU/job':>12}{'requests/job':>14}"
    f"{'events ms':>11}{'jobs ms':>9}{'history ms':>12}{'load':>7}{'pace':>7}"
)
Fill = Callable[[Backend], Awaitable[str]]
"""Stores ended jobs and returns the id of one of them."""


@dataclass(frozen=True, slots=True)
class Growth:
    """What was reached with so many jobs stored.

    Attributes:
        run_cpu_us: CPU microseconds a job of the process in which the worker runs.
        requests: to the storage, a job, from the worker's start to its end; ``None`` without one.
        events_ms, jobs_ms, history_ms: the last 200 events, the last 50 jobs, one job's history.
    """

    backend: str
    stored: int
    run_per_second: float
    run_cpu_us: float
    requests: float | None
    events_ms: float
    jobs_ms: float
    history_ms: float
    load: float
    pace_ms: float


def embedded(sizes: Sequence[int], jobs: int) -> list[Growth]:
    """Measure on a fresh database of each size."""
    return [_printed(run_async(_embedded(size, jobs))) for size in sizes]


def azure(sizes: Sequence[int], jobs: int, *, rabbitmq: RabbitMQServer) -> list[Growth]:
    """Measure on a fresh emulator of each size."""
    return [_printed(run_async(_azure(size, jobs, rabbitmq))) for size in sizes]


def table(found: Sequence[Growth]) -> str:
    """Return lines of figures."""
    return "\n".join(["Growth, scope worker, one process", _HEADER, *map(_line, found)])


def as_json(found: Sequence[Growth]) -> list[dict[str, Any]]:
    """Return every measurement."""
    return [asdict(one) for one in found]


async def _embedded(stored: int, jobs: int) -> Growth:
    with tempfile.TemporaryDirectory(prefix="jobfleet-bench-") as folder:
        settings = Settings(
            _env_file=None, backend="embedded", data_dir=Path(folder), lock_scope="worker"
        )

        async def fill(_: Backend) -> str:
            path = Path(folder) / FILE_NAME
            for first in range(1, stored + 1, _PART):  # more at once would fill the memory
                part = min(_PART, stored + 1 - first)
                now = datetime.now(UTC)
                await asyncio.to_thread(embedded_fill.store_ended, path, part, now=now, first=first)
            return embedded_fill.ended_job_id(stored)

        return await _measured(settings, stored, jobs, fill)


async def _azure(stored: int, jobs: int, rabbitmq: RabbitMQServer) -> Growth:
    with tempfile.TemporaryDirectory(prefix="jobfleet-bench-") as folder:
        storage = choose_own_storage(Path(folder))
        storage.start()
        settings = Settings(
            _env_file=None,
            backend="azure",
            namespace=f"bench-{Path(folder).name[-8:].replace('_', '-')}",
            rabbitmq_url=SecretStr(rabbitmq.url),
            storage_connection_string=SecretStr(storage.connection_string),
            concurrency=32,
            lock_scope="worker",
        )

        async def fill(backend: Backend) -> str:
            now = datetime.now(UTC)
            found = landmarks(now, azure_row.SIZES)
            await azure_row.store_ended(backend, found, stored, now)
            await azure_row.store_history(backend, found.ended)
            return found.ended[0].job_id

        try:
            return await _measured(settings, stored, jobs, fill)
        finally:
            storage.stop()


async def _measured(settings: Settings, stored: int, jobs: int, fill: Fill) -> Growth:
    backend = await open_backend(settings)
    try:
        job_id = await fill(backend)
        events = await _milliseconds(lambda: backend.reader.events(EventQuery(limit=200)))
        listed = await _milliseconds(lambda: backend.reader.jobs(JobQuery(limit=50)))
        history = await _milliseconds(lambda: backend.trail.history(job_id))
        await submit_all(backend, settings, jobs)
        await backend.index.flush()
        sent = 0 if backend.requests is None else backend.requests.total()
        cpu, wall = time.process_time(), await run_all(backend, settings, jobs)
        cpu = time.process_time() - cpu
        requests = None if backend.requests is None else (backend.requests.total() - sent) / jobs
        return Growth(
            backend=backend.name,
            stored=stored,
            run_per_second=jobs / wall,
            run_cpu_us=cpu / jobs * 1e6,
            requests=requests,
            events_ms=events,
            jobs_ms=listed,
            history_ms=history,
            load=load(),
            pace_ms=pace_ms(),
        )
    finally:
        await backend.close()


async def run_all(backend: Backend, settings: Settings, jobs: int) -> float:
    """Run what is submitted; return the seconds from the worker's start to the last job's."""
    left, done = jobs, asyncio.Event()

    @handler(NOOP)
    async def noop(_sent: float) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            done.set()

    worker = Worker(
        backend=backend,
        handlers=Handlers.of(noop),
        options=worker_options(settings),
        clock=SystemClock(),
    )
    began = time.perf_counter()
    running = asyncio.create_task(worker.run(), name="worker")
    await done.wait()
    seconds = time.perf_counter() - began
    worker.request_stop()
    await running
    await backend.index.flush()
    return seconds


async def _milliseconds(question: Callable[[], Awaitable[object]]) -> float:
    took = []
    for _ in range(_LOOKS):
        began = time.perf_counter()
        await question()
        took.append((time.perf_counter() - began) * 1000)
    return median(took)


def _printed(found: Growth) -> Growth:
    print(f"  {_line(found)}", file=sys.stderr, flush=True)
    return found


def _line(one: Growth) -> str:
    requests = "-" if one.requests is None else f"{one.requests:.2f}"
    return (
        f"{one.backend:10}{one.stored:>10,}{one.run_per_second:>8,.0f}{one.run_cpu_us:>12,.0f}"
        f"{requests:>14}{one.events_ms:>11.1f}{one.jobs_ms:>9.1f}{one.history_ms:>12.1f}"
        f"{one.load:>7.1f}{one.pace_ms:>7.1f}"
    )
