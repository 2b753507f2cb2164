"""The no-op job in Procrastinate."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from procrastinate import App, PsycopgConnector

from devtools.bench.ticks import tick
from jobfleet_cli.event_loop import run_async

URL = "BENCH_PROCRASTINATE_URL"
_AT_ONCE = 64


def app_on(url: str) -> App:
    """Return the app with its one task."""
    app = App(connector=PsycopgConnector(conninfo=url))

    @app.task(name="noop")
    async def noop(sent: float) -> None:
        tick(sent)

    return app


def create_tables(url: str) -> None:
    """Make an empty queue."""
    app = app_on(url)
    with app.open():
        app.schema_manager.apply_schema()


@contextmanager
def sender(url: str) -> Iterator[Callable[[], object]]:
    """Keep the app open; each call defers one job."""
    app = app_on(url)
    with app.open():
        task = app.configure_task("noop")
        yield lambda: task.defer(sent=time.time())


def submit(url: str, jobs: int) -> None:
    """Defer jobs as the other contestant does: as many at once, on the same event loop."""

    async def work() -> None:
        app, limit = app_on(url), asyncio.Semaphore(_AT_ONCE)

        async def one() -> None:
            async with limit:
                await app.configure_task("noop").defer_async(sent=time.time())

        async with app.open_async():
            await asyncio.gather(*(one() for _ in range(jobs)))

    run_async(work())
