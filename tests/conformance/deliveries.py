"""Taking messages in the suites of queue and consumer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from jobfleet_contracts.backend import Backend
from jobfleet_contracts.message import JobMessage
from jobfleet_contracts.ports import Delivery, JobConsumer
from tests.polling import eventually

SOON = timedelta(seconds=5)
AT_ONCE = timedelta(seconds=0.3)


@asynccontextmanager
async def consuming(backend: Backend, *queues: str) -> AsyncIterator[JobConsumer]:
    consumer = backend.consumer()
    await consumer.start(queues or ("default",))
    try:
        yield consumer
    finally:
        await consumer.stop()


async def received(consumer: JobConsumer, count: int, *, limit: int = 100) -> list[Delivery]:
    """Take until there are so many; none of them is acknowledged."""
    deliveries: list[Delivery] = []

    async def enough() -> bool:
        taken = await consumer.receive(limit - len(deliveries), AT_ONCE)
        deliveries.extend(taken)
        return len(deliveries) >= count

    await eventually(f"{count} deliveries come", enough, seconds=20)
    return deliveries


def ids(deliveries: list[Delivery]) -> list[str]:
    return [d.message.request.job_id for d in deliveries if isinstance(d.message, JobMessage)]


async def ready(backend: Backend, queue: str, lane: str) -> int:
    depths = await backend.queue.depths()
    return sum(depth.ready for depth in depths if (depth.queue, depth.lane) == (queue, lane))
