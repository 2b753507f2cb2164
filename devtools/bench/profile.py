"""`python -m devtools.bench.profile`: where the CPU time of a no-op job goes, in this process.

Without ``--functions`` nothing is instrumented, so that the times are true.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import os
import pstats
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import get_args

from pydantic import SecretStr

from devtools.bench.handlers import noop
from devtools.bench.jobfleet_queue import keep_quiet, submit_all
from devtools.bench.ticks import VARIABLE, TickFile
from devtools.servers import choose_own_postgres
from jobfleet_backends.open_backend import open_backend
from jobfleet_backends.settings import Settings
from jobfleet_backends.system_clock import SystemClock
from jobfleet_cli.event_loop import run_async
from jobfleet_cli.garbage import set_up_collector
from jobfleet_cli.worker_process import worker_options
from jobfleet_contracts.backend import Backend
from jobfleet_contracts.lease import LockScope
from jobfleet_worker.handlers.registry import Handlers
from jobfleet_worker.worker import Worker


def main() -> None:
    """Submit and run jobs, and print what they cost."""
    parser = argparse.ArgumentParser(prog="python -m devtools.bench.profile", description=__doc__)
    parser.add_argument("--jobs", type=int, default=3000)
    parser.add_argument("--concurrency", type=int, default=100)
    parser.add_argument("--scope", default="job", choices=get_args(LockScope))
    parser.add_argument("--backend", default="embedded", choices=("embedded", "postgres"))
    parser.add_argument("--functions", type=int, default=0, help="how many functions to list")
    arguments = parser.parse_args()
    keep_quiet()
    with tempfile.TemporaryDirectory(prefix="jobfleet-bench-") as folder:
        ticks = TickFile(Path(folder) / "ticks")
        os.environ[VARIABLE] = str(ticks.path)
        with ExitStack() as stack:
            url = ""
            if arguments.backend == "postgres":
                server = choose_own_postgres(Path(folder))
                server.start()
                stack.callback(server.stop)
                url = server.url
            settings = Settings(
                _env_file=None,
                backend=arguments.backend,
                data_dir=Path(folder),
                postgres_url=SecretStr(url),
                concurrency=arguments.concurrency,
                lock_scope=arguments.scope,
            )
            run_async(measure(settings, ticks, arguments.jobs, arguments.functions))


async def measure(settings: Settings, ticks: TickFile, jobs: int, functions: int) -> None:
    backend = await open_backend(settings)
    try:
        with _measured("submit", jobs, functions):
            await submit_all(backend, settings, jobs)
        with _measured("run", jobs, functions):
            await _run(backend, settings, ticks, jobs)
    finally:
        await backend.close()


async def _run(backend: Backend, settings: Settings, ticks: TickFile, jobs: int) -> None:
    worker = Worker(
        backend=backend,
        handlers=Handlers.of(noop),
        options=worker_options(settings),
        clock=SystemClock(),
    )
    set_up_collector()
    running = asyncio.create_task(worker.run(), name="worker")
    while ticks.count() < jobs:  # noqa: ASYNC110
        await asyncio.sleep(0.1)
    worker.request_stop()
    await running


class _measured:  # noqa: N801 - reads as a verb
    """Prints what the block cost."""

    def __init__(self, what: str, jobs: int, functions: int) -> None:
        self._what, self._jobs, self._functions = what, jobs, functions
        self._profile = cProfile.Profile() if functions else None

    def __enter__(self) -> None:
        self._wall, self._cpu, self._loop = (
            time.perf_counter(),
            time.process_time(),
            time.thread_time(),
        )
        if self._profile:
            self._profile.enable()

    def __exit__(self, *_: object) -> None:
        if self._profile:
            self._profile.disable()
        wall, cpu = time.perf_counter() - self._wall, time.process_time() - self._cpu
        loop = time.thread_time() - self._loop
        print(
            f"{self._what}: {self._jobs / wall:,.0f} jobs/s; {cpu / self._jobs * 1e6:,.0f} us CPU "
            f"a job, {loop / self._jobs * 1e6:,.0f} us of them on the loop's thread"
        )
        if self._profile:
            pstats.Stats(self._profile, stream=sys.stdout).sort_stats("tottime").print_stats(
                self._functions
            )


if __name__ == "__main__":
    main()
