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
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any, get_args

from pydantic import SecretStr

from devtools.bench.handlers import noop
from devtools.bench.jobfleet_queue import keep_quiet, submit_all
from devtools.bench.ticks import VARIABLE, TickFile
from devtools.bench_dashboard.cpu_time import cpu_seconds, postmaster
from devtools.servers import choose_own_postgres, choose_own_rabbitmq, choose_own_storage
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

Servers = dict[str, int]
"""Processes by the server's name."""


def main() -> None:
    """Submit and run jobs, and print what they cost."""
    parser = argparse.ArgumentParser(prog="python -m devtools.bench.profile", description=__doc__)
    parser.add_argument("--jobs", type=int, default=3000)
    parser.add_argument("--concurrency", type=int, default=100)
    parser.add_argument("--scope", default="job", choices=get_args(LockScope))
    parser.add_argument("--backend", default="embedded", choices=("embedded", "postgres", "azure"))
    parser.add_argument("--functions", type=int, default=0, help="how many functions to list")
    arguments = parser.parse_args()
    keep_quiet()
    with tempfile.TemporaryDirectory(prefix="jobfleet-bench-") as folder:
        ticks = TickFile(Path(folder) / "ticks")
        os.environ[VARIABLE] = str(ticks.path)
        with ExitStack() as stack:
            servers = Servers()
            backend = _servers(arguments.backend, Path(folder), servers, stack)
            settings = Settings(
                _env_file=None,
                data_dir=Path(folder),
                concurrency=arguments.concurrency,
                lock_scope=arguments.scope,
                **backend,
            )
            run_async(measure(settings, ticks, servers, arguments.jobs, arguments.functions))


def _servers(backend: str, folder: Path, servers: Servers, stack: ExitStack) -> dict[str, Any]:
    """Start the servers of a backend; return the settings that name it."""
    if backend == "postgres":
        postgres = choose_own_postgres(folder)
        postgres.start()
        stack.callback(postgres.stop)
        servers["PostgreSQL"] = postmaster(postgres.url)
        return {"backend": backend, "postgres_url": SecretStr(postgres.url)}
    if backend == "azure":
        started = {
            "RabbitMQ": choose_own_rabbitmq(folder),
            "Azurite": choose_own_storage(folder),
        }
        for name, server in started.items():
            server.start()
            stack.callback(server.stop)
            if server.process_id is not None:
                servers[name] = server.process_id
        return {
            "backend": backend,
            "rabbitmq_url": SecretStr(started["RabbitMQ"].address),
            "storage_connection_string": SecretStr(started["Azurite"].address),
        }
    return {"backend": backend}


async def measure(
    settings: Settings, ticks: TickFile, servers: Servers, jobs: int, functions: int
) -> None:
    backend = await open_backend(settings)
    try:
        with _measured("submit", backend, servers, jobs, functions):
            await submit_all(backend, settings, jobs)
        with _measured("run", backend, servers, jobs, functions):
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

    def __init__(
        self, what: str, backend: Backend, servers: Servers, jobs: int, functions: int
    ) -> None:
        self._what, self._jobs, self._functions = what, jobs, functions
        self._backend, self._servers = backend, servers
        self._profile = cProfile.Profile() if functions else None

    def __enter__(self) -> None:
        self._wall, self._cpu, self._loop = (
            time.perf_counter(),
            time.process_time(),
            time.thread_time(),
        )
        self._of_servers = {name: cpu_seconds(pid) for name, pid in self._servers.items()}
        self._requests = self._counts()
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
        for name, pid in self._servers.items():
            taken = (cpu_seconds(pid) - self._of_servers[name]) / self._jobs * 1e6
            print(f"  {name}: {taken:,.0f} us CPU a job")
        for operation, count in sorted((self._counts() - self._requests).items()):
            print(f"  {operation}: {count / self._jobs:.2f} requests a job")
        if self._profile:
            pstats.Stats(self._profile, stream=sys.stdout).sort_stats("tottime").print_stats(
                self._functions
            )

    def _counts(self) -> Counter[str]:
        if self._backend.requests is None:
            return Counter()
        counts = self._backend.requests.counts()
        return Counter({" ".join(key).removesuffix(" ok"): n for key, n in counts.items()})


if __name__ == "__main__":
    main()
