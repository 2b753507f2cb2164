"""A short measurement on the named servers: no-op jobs, one worker with 32 slots."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path

from pydantic import SecretStr

from devtools.bench import jobfleet_queue
from devtools.bench.contestant import Contestant
from devtools.bench.drain import Drain, drain
from devtools.prove_azure.names import own_name, own_namespace
from devtools.prove_azure.target import BROKER, STORAGE, Target
from jobfleet_backends.settings import Settings


def bench(target: Target, jobs: int) -> Drain:
    """Submit that many jobs, and run them."""
    jobfleet_queue.keep_quiet()
    namespace, table = own_namespace("bench"), f"Bench{own_name()}"
    settings = Settings(
        _env_file=None,
        backend="azure",
        namespace=namespace,
        audit_table=table,
        lock_container=table.lower(),
        rabbitmq_url=SecretStr(target.broker),
        storage_connection_string=SecretStr(target.storage),
    )
    with tempfile.TemporaryDirectory(prefix="jobfleet-bench-") as folder:
        contestant = Contestant(
            name="jobfleet, 1 x 32",
            folder=Path(folder),
            submit=partial(jobfleet_queue.submit, settings),
            commands=[jobfleet_queue.WORKER],
            environment={
                "JOBFLEET_BACKEND": "azure",
                "JOBFLEET_NAMESPACE": namespace,
                "JOBFLEET_AUDIT_TABLE": table,
                "JOBFLEET_LOCK_CONTAINER": table.lower(),
                "JOBFLEET_CONCURRENCY": "32",
                "JOBFLEET_LOG_LEVEL": "warning",
                BROKER: target.broker,
                STORAGE: target.storage,
            },
            check=partial(jobfleet_queue.check, settings),
        )
        return drain(contestant, jobs)
