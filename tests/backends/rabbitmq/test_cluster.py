"""Three nodes: the loss of one, a leader or not, loses no message and stops nobody."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from functools import partial

import pytest

from devtools.servers.rabbitmq_node import RabbitMQNode
from jobfleet_backends.rabbitmq.connection import RabbitMQ
from jobfleet_backends.rabbitmq.job_consumer import RabbitJobConsumer
from jobfleet_backends.rabbitmq.job_queue import RabbitJobQueue
from jobfleet_contracts.errors import BackendUnavailable
from jobfleet_contracts.message import JobMessage
from tests.backends.rabbitmq.jobs import a_job, job_id, take
from tests.polling import eventually

pytestmark = [
    pytest.mark.servers,
    pytest.mark.full,
    pytest.mark.timeout(600),
]


@pytest.fixture
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[RabbitMQNode]]:
    folder = tmp_path_factory.mktemp("cluster")
    first = RabbitMQNode(folder=folder / "1")
    first.start()
    others = [RabbitMQNode(folder=folder / str(number), joins=first) for number in (2, 3)]
    running = [first, *others]
    for node in others:
        node.start()
    yield running
    for node in reversed(running):
        node.stop()


async def test_each_node_in_turn_is_killed_and_no_confirmed_job_is_lost(
    nodes: list[RabbitMQNode], namespace: str
) -> None:
    served = RabbitMQ(url=nodes[0].url, namespace=namespace)
    queue = RabbitJobQueue(rabbitmq=served, queues=["default"])
    consumer = RabbitJobConsumer(rabbitmq=served)
    await consumer.start(["default"])
    confirmed, received = set[str](), set[str]()
    for node in (nodes[2], nodes[1], nodes[0]):  # all are connected to the last one
        confirmed |= await _publish(queue, 10)
        await asyncio.to_thread(node.kill)
        if node is not nodes[0]:
            confirmed |= await _publish(queue, 10)
        await asyncio.to_thread(node.start)
        await _receive(consumer, confirmed, received)
    await consumer.stop()
    await served.close()


async def _publish(queue: RabbitJobQueue, number: int) -> set[str]:
    """Publish jobs, each again until it is confirmed, as a publisher of ours does."""
    jobs = [a_job() for _ in range(number)]
    for job in jobs:
        await eventually("it is confirmed", partial(_is_confirmed, queue, job), seconds=60)
    return {job.request.job_id for job in jobs}


async def _is_confirmed(queue: RabbitJobQueue, job: JobMessage) -> bool:
    try:
        await queue.publish(job)
    except BackendUnavailable:
        return False
    return True


async def _receive(consumer: RabbitJobConsumer, wanted: set[str], received: set[str]) -> None:
    """Take messages until all that were confirmed have come, some perhaps twice."""

    async def all_came() -> bool:
        with suppress(BackendUnavailable):
            received.update(map(job_id, await take(consumer)))
        return wanted <= received

    await eventually("all that were confirmed have come", all_came, seconds=120)
