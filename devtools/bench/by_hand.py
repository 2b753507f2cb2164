"""The same work by hand: what a Celery task does that takes a lease and keeps an audit table.

Blob created, leased and released, three rows inserted: six requests with the SDK's own defaults,
and no fence, no takeover and no index.
"""

from __future__ import annotations

import os
import time
import uuid
from functools import cache

from azure.data.tables import TableClient, TableServiceClient
from azure.storage.blob import BlobLeaseClient, BlobServiceClient, ContainerClient
from celery import Celery

from devtools.bench.ticks import tick

BROKER, STORAGE, QUEUE = "BENCH_BROKER", "BENCH_STORAGE", "BENCH_QUEUE"
TABLE, CONTAINER = "ByHandAudit", "by-hand-locks"


def make_app(broker: str, queue: str) -> Celery:
    """Return Celery with late acknowledgement and no results."""
    app = Celery("by_hand", broker=broker)
    app.conf.update(
        task_acks_late=True,
        task_ignore_result=True,
        worker_prefetch_multiplier=4,
        broker_connection_retry_on_startup=True,
        task_default_queue=queue,
    )
    return app


def create_storage(connection_string: str) -> None:
    """Make table and container, as a deployment would."""
    TableServiceClient.from_connection_string(connection_string).create_table(TABLE)
    BlobServiceClient.from_connection_string(connection_string).create_container(CONTAINER)


@cache
def _table() -> TableClient:
    return TableClient.from_connection_string(os.environ[STORAGE], TABLE)


@cache
def _container() -> ContainerClient:
    return ContainerClient.from_connection_string(os.environ[STORAGE], CONTAINER)


app = make_app(os.environ.get(BROKER, "memory://"), os.environ.get(QUEUE, "none"))


@app.task(name="by_hand.noop")  # type: ignore[untyped-decorator]
def noop(job_id: str, sent: float) -> None:
    """Take the lease, tell what happens, do nothing."""
    blob = _container().get_blob_client(job_id)
    blob.upload_blob(b"")
    lease = BlobLeaseClient(blob)
    lease.acquire(60)
    _tell(job_id, 1, "Received")
    _tell(job_id, 2, "Started")
    tick(sent)
    _tell(job_id, 3, "Completed")
    lease.release()


def submit(jobs: int, *, broker: str, queue: str) -> None:
    """Send that many, one after the other; without confirms, as Celery does."""
    sender = make_app(broker, queue)
    with sender.connection_for_write() as connection:
        for _ in range(jobs):
            sender.send_task(
                "by_hand.noop", args=[str(uuid.uuid4()), time.time()], connection=connection
            )


def _tell(job_id: str, sequence: int, status: str) -> None:
    _table().create_entity(
        {
            "PartitionKey": job_id,
            "RowKey": f"{9_999_999_999 - sequence:010d}",
            "Sequence": sequence,
            "Status": status,
            "Message": f"job is {status}",
            "OccurredAt": time.time(),
            "WorkerId": str(os.getpid()),
            "EventId": str(uuid.uuid4()),
        }
    )
