"""Contestants on PostgreSQL: jobfleet, and Procrastinate, which has neither lease nor trail.

Each gets a server of its own on an empty folder, with the settings of a fresh installation.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

from pydantic import SecretStr

from devtools.bench import jobfleet_queue
from devtools.bench.contestant import Contestant
from devtools.bench.procrastinate_queue import URL, create_tables, sender, submit
from devtools.bench_dashboard.cpu_time import postmaster
from devtools.servers import choose_own_postgres
from jobfleet_backends.open_backend import migrate_backend
from jobfleet_backends.settings import Settings
from jobfleet_contracts.lease import LockScope


def jobfleet(
    folder: Path, *, processes: int, concurrency: int, scope: LockScope = "job"
) -> Contestant:
    """Worker processes as `jobfleet worker` starts them."""
    server = choose_own_postgres(folder)
    server.start()
    settings = Settings(_env_file=None, backend="postgres", postgres_url=SecretStr(server.url))
    migrate_backend(settings)  # before the clock runs, as create_tables
    return Contestant(
        name=f"jobfleet, {processes} x {concurrency}, scope {scope}",
        folder=folder,
        submit=partial(jobfleet_queue.submit, settings),
        sender=partial(jobfleet_queue.sender, settings),
        commands=[jobfleet_queue.WORKER] * processes,
        environment={
            "JOBFLEET_BACKEND": "postgres",
            "JOBFLEET_POSTGRES_URL": server.url,
            "JOBFLEET_CONCURRENCY": str(concurrency),
            "JOBFLEET_LOCK_SCOPE": scope,
            "JOBFLEET_LOG_LEVEL": "warning",
        },
        check=partial(jobfleet_queue.check, settings),
        close=server.stop,
        server=postmaster(server.url),
    )


def procrastinate(folder: Path, *, processes: int, concurrency: int) -> Contestant:
    """Procrastinate's own worker."""
    server = choose_own_postgres(folder)
    server.start()
    create_tables(server.url)
    app = "devtools.bench.procrastinate_app.app"
    worker = [sys.executable, "-m", "procrastinate", "--app", app, "worker"]
    return Contestant(
        name=f"Procrastinate, {processes} x {concurrency}",
        folder=folder,
        submit=partial(submit, server.url),
        sender=partial(sender, server.url),
        commands=[[*worker, "--concurrency", str(concurrency)]] * processes,
        environment={URL: server.url},
        close=server.stop,
        server=postmaster(server.url),
    )
