"""Taking messages in the suites of queue and consumer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from jobfleet_backends.postgres import job_consumer as postgres_consumer
from jobfleet_backends.postgres.job_consumer import PostgresJobConsumer
from jobfleet_backends.rabbitmq.job_consumer import RabbitJobConsumer
from jobfleet_backends.sqlite import job_consumer as sqlite_consumer
from jobfleet_backends.sqlite.job_consumer import SqliteJobConsumer
from jobfleet_contracts.backend import Backend
from jobfleet_contracts.message import JobMessage
from jobfleet_contracts.ports import Delivery, JobConsumer
from tests.polling import eventually
from tests.simulation.fake_broker import FakeJobConsumer

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

    await eventually(f"{count} deliveries come", enough, seconds=120)
    return deliveries


def ids(deliveries: list[Delivery]) -> list[str]:
    return [d.message.request.job_id for d in deliveries if isinstance(d.message, JobMessage)]


async def ready(backend: Backend, queue: str, lane: str) -> int:
    depths = await backend.queue.depths()
    return sum(depth.ready for depth in depths if (depth.queue, depth.lane) == (queue, lane))


async def lose(consumer: JobConsumer) -> None:
    """Let what a consumer holds go back as if its process had ended."""
    match consumer:
        case RabbitJobConsumer():
            await consumer._drop_channels()
        case FakeJobConsumer():
            consumer._broker.drop(consumer)
        case SqliteJobConsumer():
            await consumer._update(sqlite_consumer._KEEP, consumer._held, 0)
            consumer._held.clear()
        case PostgresJobConsumer():
            numbers = list(consumer._held)
            consumer._held.clear()
            await consumer._database.execute(postgres_consumer._HOLD, 0, numbers, consumer._holder)
        case _:
            raise AssertionError(f"no way to lose a {type(consumer).__name__}")
