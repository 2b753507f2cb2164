"""Contestants on RabbitMQ and Azurite: jobfleet, and a Celery task that does the same by hand.

All use one RabbitMQ; each gets an Azurite of its own on an empty folder, for a used one is slower.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

from pydantic import SecretStr

from devtools.bench import bare_requests, by_hand, celery_results, jobfleet_queue
from devtools.bench.contestant import Contestant
from devtools.bench_dashboard.cpu_time import postmaster
from devtools.servers import RabbitMQServer, choose_own_postgres, choose_own_storage
from jobfleet_backends.settings import Settings
from jobfleet_contracts.lease import LockScope

DEFAULT_SHARDS = 4


def jobfleet(
    folder: Path,
    *,
    rabbitmq: RabbitMQServer,
    processes: int,
    concurrency: int,
    scope: LockScope = "job",
    shards: int = DEFAULT_SHARDS,
) -> Contestant:
    """Worker processes as `jobfleet worker` starts them."""
    storage = choose_own_storage(folder)
    storage.start()
    namespace = f"bench-{folder.name[-8:].replace('_', '-')}"
    settings = Settings(
        _env_file=None,
        backend="azure",
        namespace=namespace,
        rabbitmq_url=SecretStr(rabbitmq.url),
        storage_connection_string=SecretStr(storage.connection_string),
        index_shards=shards,
    )
    divided = "" if shards == DEFAULT_SHARDS else f", {shards} shards"
    return Contestant(
        name=f"jobfleet, {processes} x {concurrency}, scope {scope}{divided}",
        folder=folder,
        submit=partial(jobfleet_queue.submit, settings),
        sender=partial(jobfleet_queue.sender, settings),
        commands=[jobfleet_queue.WORKER] * processes,
        environment={
            "JOBFLEET_BACKEND": "azure",
            "JOBFLEET_NAMESPACE": namespace,
            "JOBFLEET_RABBITMQ_URL": rabbitmq.url,
            "JOBFLEET_STORAGE_CONNECTION_STRING": storage.connection_string,
            "JOBFLEET_CONCURRENCY": str(concurrency),
            "JOBFLEET_LOCK_SCOPE": scope,
            "JOBFLEET_INDEX_SHARDS": str(shards),
            "JOBFLEET_LOG_LEVEL": "warning",
        },
        check=partial(jobfleet_queue.check, settings),
        close=storage.stop,
        server=storage.process_id,
        limit=_limit_of(scope),
    )


def bare(folder: Path, *, scope: LockScope) -> Contestant:
    """The requests of the jobs' runs alone, sent by a lean client: the limit of that scope."""
    storage = choose_own_storage(folder)
    storage.start()
    environment = {
        bare_requests.STORAGE: storage.connection_string,
        bare_requests.SCOPE: scope,
    }

    def submit(jobs: int) -> None:
        environment[bare_requests.JOBS] = str(jobs)

    return Contestant(
        name=_limit_of(scope),
        folder=folder,
        submit=submit,
        commands=[[sys.executable, "-m", "devtools.bench.bare_requests"]],
        environment=environment,
        close=storage.stop,
        server=storage.process_id,
        takes_jobs=False,
    )


def _limit_of(scope: LockScope) -> str:
    return f"bare requests, scope {scope}"


def celery(folder: Path, *, rabbitmq: RabbitMQServer, pool: int) -> Contestant:
    """Celery's prefork pool of that many processes."""
    storage = choose_own_storage(folder)
    storage.start()
    by_hand.create_storage(storage.connection_string)
    return Contestant(
        name=f"Celery by hand, prefork {pool}",
        folder=folder,
        submit=partial(by_hand.submit, broker=rabbitmq.url, queue=folder.name),
        commands=[celery_command("devtools.bench.by_hand", pool)],
        environment={
            by_hand.BROKER: rabbitmq.url,
            by_hand.QUEUE: folder.name,
            by_hand.STORAGE: storage.connection_string,
        },
        close=storage.stop,
        server=storage.process_id,
    )


def celery_with_results(folder: Path, *, rabbitmq: RabbitMQServer, pool: int) -> Contestant:
    """Celery's prefork pool, with results in a PostgreSQL of its own; no lease, no trail."""
    server = choose_own_postgres(folder)
    server.start()
    return Contestant(
        name=f"Celery with results, prefork {pool}",
        folder=folder,
        submit=partial(
            celery_results.submit, broker=rabbitmq.url, queue=folder.name, url=server.url
        ),
        commands=[celery_command("devtools.bench.celery_results", pool)],
        environment={
            by_hand.BROKER: rabbitmq.url,
            by_hand.QUEUE: folder.name,
            celery_results.RESULTS: server.url,
        },
        check=partial(celery_results.check, server.url),
        close=server.stop,
        server=postmaster(server.url),
    )


def celery_command(app: str, pool: int) -> list[str]:
    """Return the command of a Celery worker with a prefork pool."""
    options = ["--pool", "prefork", "--concurrency", str(pool), "--loglevel", "warning"]
    quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    return [sys.executable, "-m", "celery", "-A", app, "worker", *options, *quiet]
