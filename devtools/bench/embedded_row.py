"""Contestants on SQLite: jobfleet's embedded backend, and Huey, which has no lease and no trail."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

from devtools.bench import jobfleet_queue
from devtools.bench.contestant import Contestant
from devtools.bench.huey_queue import HueyQueue
from jobfleet_backends.settings import Settings
from jobfleet_contracts.lease import LockScope


def jobfleet(
    folder: Path, *, processes: int, concurrency: int, scope: LockScope = "job"
) -> Contestant:
    """Worker processes as `jobfleet worker` starts them."""
    settings = Settings(_env_file=None, backend="embedded", data_dir=folder / "data")
    return Contestant(
        name=f"jobfleet, {processes} x {concurrency}, scope {scope}",
        folder=folder,
        submit=partial(jobfleet_queue.submit, settings),
        sender=partial(jobfleet_queue.sender, settings),
        commands=[jobfleet_queue.WORKER] * processes,
        environment={
            "JOBFLEET_BACKEND": "embedded",
            "JOBFLEET_DATA_DIR": str(settings.data_dir),
            "JOBFLEET_CONCURRENCY": str(concurrency),
            "JOBFLEET_LOCK_SCOPE": scope,
            "JOBFLEET_LOG_LEVEL": "warning",
        },
        check=partial(jobfleet_queue.check, settings),
    )


def huey(folder: Path, *, workers: int, kind: str) -> Contestant:
    """Huey's own consumer with ``workers`` of ``kind`` (``thread`` or ``process``)."""
    file = folder / "huey.db"
    app = "devtools.bench.huey_app.huey"
    return Contestant(
        name=f"Huey, {workers} {kind}",
        folder=folder,
        submit=HueyQueue(file).submit,
        commands=[
            [
                sys.executable,
                "-m",
                "huey.bin.huey_consumer",
                app,
                "-w",
                str(workers),
                "-k",
                kind,
                "-q",
            ]
        ],
        environment={"BENCH_HUEY_FILE": str(file)},
    )
