"""Job messages, and a worker's way of taking them."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from jobfleet_backends.rabbitmq.delivery import RabbitDelivery
from jobfleet_backends.rabbitmq.job_consumer import RabbitJobConsumer
from jobfleet_backends.rabbitmq.job_queue import RabbitJobQueue
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.message import JobMessage

SOON = timedelta(seconds=5)


def a_job(**fields: Any) -> JobMessage:
    return JobMessage(request=JobRequest(**{"type": "test", **fields}))


def job_id(delivery: RabbitDelivery) -> str:
    assert isinstance(delivery.message, JobMessage), delivery.message
    return delivery.message.request.job_id


async def take(
    consumer: RabbitJobConsumer, limit: int = 10, wait: timedelta = SOON
) -> Sequence[RabbitDelivery]:
    deliveries = await consumer.receive(limit, wait)
    for delivery in deliveries:
        await delivery.ack()
    return deliveries


async def ready(queue: RabbitJobQueue) -> dict[str, int]:
    return {depth.lane: depth.ready for depth in await queue.depths()}


async def total_ready(queue: RabbitJobQueue) -> int:
    return sum((await ready(queue)).values())
