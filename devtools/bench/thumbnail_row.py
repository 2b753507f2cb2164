"""Contestants that compute: jobfleet's processes, and Celery's prefork pool on RabbitMQ."""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

from devtools.bench import azure_row, by_hand, celery_thumbnails, embedded_row, jobfleet_queue
from devtools.bench.contestant import Contestant
from devtools.servers import RabbitMQServer
from jobfleet_backends.settings import Settings

HANDLERS = "devtools.bench.thumbnail_handlers"
JOB_TYPE = "bench.thumbnail"


def embedded(folder: Path, *, pool: int) -> Contestant:
    """One worker on SQLite."""
    settings = Settings(_env_file=None, backend="embedded", data_dir=folder / "data")
    return _with_pool(embedded_row.jobfleet(folder, processes=1, concurrency=10), settings, pool)


def azure(folder: Path, *, rabbitmq: RabbitMQServer, pool: int) -> Contestant:
    """One worker on RabbitMQ and Azurite."""
    contestant = azure_row.jobfleet(folder, rabbitmq=rabbitmq, processes=1, concurrency=10)
    named = {
        name.removeprefix("JOBFLEET_").lower(): value
        for name, value in contestant.environment.items()
    }
    return _with_pool(contestant, Settings(_env_file=None, **named), pool)  # type: ignore[arg-type]


def celery(folder: Path, *, rabbitmq: RabbitMQServer, pool: int) -> Contestant:
    """Celery's prefork pool of that many processes."""
    command = azure_row.celery_command("devtools.bench.celery_thumbnails", pool)
    return Contestant(
        name=f"Celery, prefork {pool}",
        folder=folder,
        submit=partial(celery_thumbnails.submit, broker=rabbitmq.url, queue=folder.name),
        commands=[command],
        environment={by_hand.BROKER: rabbitmq.url, by_hand.QUEUE: folder.name},
    )


def _with_pool(contestant: Contestant, settings: Settings, pool: int) -> Contestant:
    where = "SQLite" if settings.backend == "embedded" else "Azurite"
    return replace(
        contestant,
        name=f"jobfleet on {where}, {pool} processes",
        submit=partial(jobfleet_queue.submit, settings, job_type=JOB_TYPE),
        commands=[(sys.executable, "-m", "jobfleet_cli", "worker", "--handlers", HANDLERS)],
        environment={**contestant.environment, "JOBFLEET_PROCESSES": str(pool)},
    )
