"""The no-op task in Celery with a result backend: each result becomes a row of PostgreSQL."""

from __future__ import annotations

import os
import time

import psycopg
from celery import Celery

from devtools.bench.by_hand import BROKER, QUEUE, make_app
from devtools.bench.ticks import tick

RESULTS = "BENCH_RESULTS"
_COUNT = "SELECT count(*) FROM celery_taskmeta WHERE status = 'SUCCESS'"
_PATIENCE_SECONDS = 120.0


def _with_results(broker: str, queue: str, url: str) -> Celery:
    made = make_app(broker, queue)
    made.conf.update(
        task_ignore_result=False,
        result_backend=url.replace("postgresql:", "db+postgresql+psycopg:", 1),
    )
    return made


app = _with_results(
    os.environ.get(BROKER, "memory://"),
    os.environ.get(QUEUE, "none"),
    os.environ.get(RESULTS, "postgresql://nowhere"),
)


@app.task(name="results.noop")  # type: ignore[untyped-decorator]
def noop(sent: float) -> float:
    """Do nothing, and return something."""
    tick(sent)
    return sent


def submit(jobs: int, *, broker: str, queue: str, url: str) -> None:
    """Send that many, one after the other; without confirms, as Celery does."""
    sender = _with_results(broker, queue, url)
    with sender.connection_for_write() as connection:
        for _ in range(jobs):
            sender.send_task("results.noop", args=[time.time()], connection=connection)


def check(url: str, jobs: int) -> None:
    """Wait until every result is stored.

    Raises:
        RuntimeError: it is not within two minutes.
    """
    deadline = time.monotonic() + _PATIENCE_SECONDS
    with psycopg.connect(url, autocommit=True) as session:
        while (found := session.execute(_COUNT).fetchone()) != (jobs,):
            if time.monotonic() > deadline:
                raise RuntimeError(f"{found} of {jobs} results are stored")
            time.sleep(0.05)
