"""A dashboard in this process, so that its backend can be asked what pages cost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import perf_counter

from aiohttp import ClientSession

from devtools.bench_dashboard.counted_ports import Counts, counted
from jobfleet_backends.open_backend import open_backend
from jobfleet_backends.settings import Settings
from jobfleet_backends.system_clock import SystemClock
from jobfleet_cli.dashboard_process import dashboard_options
from jobfleet_contracts.backend import Backend
from jobfleet_dashboard.app import create_app
from jobfleet_dashboard.server import serve


@dataclass(frozen=True, slots=True)
class Asked:
    """What one page cost, the second time it was asked for.

    Attributes:
        requests: to the storage, or questions to the backend's ports where it sends none.
        rows: that answered them.
    """

    name: str
    requests: int
    rows: int
    milliseconds: float
    status: int


@asynccontextmanager
async def served_here(backend: Backend, settings: Settings) -> AsyncIterator[ClientSession]:
    """Serve until the block ends; yields a session with the dashboard's address."""
    options = dashboard_options(settings, host="127.0.0.1", port=0)
    app = create_app(backend=backend, clock=SystemClock(), options=options)
    ready: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    stop = asyncio.Event()
    serving = asyncio.create_task(
        serve(app, "127.0.0.1", 0, ready=ready.set_result, stop=stop), name="dashboard"
    )
    try:
        async with ClientSession(f"http://127.0.0.1:{await ready}") as session:
            yield session
    finally:
        stop.set()
        await serving


async def asked_of(settings: Settings, paths: Mapping[str, str]) -> list[Asked]:
    """Count what each page asks of the backend's ports."""
    backend = await open_backend(settings)
    counting, counts = counted(backend)
    async with served_here(counting, settings) as session:
        asked = await ask_all(session, counts, paths)
    await backend.close()
    return asked


async def ask_all(session: ClientSession, counts: Counts, paths: Mapping[str, str]) -> list[Asked]:
    """Ask for every page twice; the second time counts."""
    return [await _ask(session, counts, name, path) for name, path in paths.items()]


async def _ask(session: ClientSession, counts: Counts, name: str, path: str) -> Asked:
    await _answer(session, path)
    (sent, read), began = counts(), perf_counter()
    status = await _answer(session, path)
    took = (perf_counter() - began) * 1000
    return Asked(name, counts()[0] - sent, counts()[1] - read, took, status)


async def _answer(session: ClientSession, path: str) -> int:
    async with session.get(path, allow_redirects=False) as answer:
        await answer.read()
        return answer.status
