"""A work queue that does not answer: the others are served, and it is too once it answers."""

import asyncio
from datetime import timedelta

import pytest
import structlog

from devtools.servers import RabbitMQServer
from jobfleet_backends.rabbitmq import suspended_queues
from jobfleet_backends.rabbitmq.connection import RabbitMQ
from jobfleet_backends.rabbitmq.job_consumer import RabbitJobConsumer
from jobfleet_backends.rabbitmq.job_queue import RabbitJobQueue
from jobfleet_backends.rabbitmq.suspended_queues import QUEUE_RESUMED, QUEUE_SUSPENDED
from jobfleet_contracts.errors import BackendUnavailable
from tests.backends.rabbitmq import foreign_client
from tests.backends.rabbitmq.jobs import a_job, job_id, take


@pytest.fixture
def odd(rabbitmq: RabbitMQServer, namespace: str) -> str:
    """A work queue of queue ``mail`` that somebody else has declared in another way."""
    name = f"{namespace}.jobs.mail.high"
    with foreign_client.channel(rabbitmq.url) as channel:
        channel.queue_declare(name, durable=True)
    return name


async def test_a_worker_serves_the_queues_that_answer_and_says_which_does_not(
    odd: str, queue: RabbitJobQueue, broker: RabbitMQ
) -> None:
    consumer = RabbitJobConsumer(rabbitmq=broker)
    message = a_job()
    await queue.publish(message)
    with structlog.testing.capture_logs() as logs:
        await consumer.start(["mail", "default"])
        (delivery,) = await take(consumer)
        assert len(await consumer.receive(1, timedelta(seconds=0.2))) == 0
    await consumer.stop()
    assert job_id(delivery) == message.request.job_id
    entries = [entry for entry in logs if entry["event"] == QUEUE_SUSPENDED]
    assert odd in {entry["queue"] for entry in entries}
    assert "other properties; delete it" in entries[0]["problem"]
    assert len(entries) == 3, "each lane once"


async def test_a_queue_that_answers_again_is_served_again_without_losing_what_it_held(
    odd: str,
    queue: RabbitJobQueue,
    broker: RabbitMQ,
    rabbitmq: RabbitMQServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(suspended_queues, "RETRY_SECONDS", 0.2)
    consumer = RabbitJobConsumer(rabbitmq=broker)
    await consumer.start(["mail", "default"])
    waiting = asyncio.create_task(take(consumer, wait=timedelta(seconds=20)))
    await asyncio.to_thread(foreign_client.delete_queue, rabbitmq.url, odd)
    message = a_job(queue="mail", priority=9)
    with structlog.testing.capture_logs() as logs:
        await queue.publish(message, timeout=10)
        async with asyncio.timeout(60):
            (delivery,) = await waiting
    await consumer.stop()
    assert job_id(delivery) == message.request.job_id
    assert QUEUE_RESUMED in {entry["event"] for entry in logs}


async def test_a_worker_none_of_whose_queues_answers_says_why(odd: str, broker: RabbitMQ) -> None:
    consumer = RabbitJobConsumer(rabbitmq=broker)
    await consumer.start(["mail"])
    with pytest.raises(BackendUnavailable, match=odd):
        await consumer.receive(1, timedelta(seconds=0.2))
    await consumer.stop()
