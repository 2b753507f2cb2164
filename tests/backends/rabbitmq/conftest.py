"""The broker's adapters on one namespace per test."""

from collections.abc import AsyncIterator

import pytest

from devtools.servers import RabbitMQServer
from jobfleet_backends.rabbitmq.connection import RabbitMQ
from jobfleet_backends.rabbitmq.job_consumer import RabbitJobConsumer
from jobfleet_backends.rabbitmq.job_queue import RabbitJobQueue


@pytest.fixture
async def broker(rabbitmq: RabbitMQServer, namespace: str) -> AsyncIterator[RabbitMQ]:
    opened = RabbitMQ(url=rabbitmq.url, namespace=namespace)
    yield opened
    await opened.close()


@pytest.fixture
def queue(broker: RabbitMQ) -> RabbitJobQueue:
    return RabbitJobQueue(rabbitmq=broker, queues=["default"])


@pytest.fixture
async def consumer(broker: RabbitMQ) -> AsyncIterator[RabbitJobConsumer]:
    started = RabbitJobConsumer(rabbitmq=broker)
    await started.start(["default"])
    yield started
    await started.stop()
