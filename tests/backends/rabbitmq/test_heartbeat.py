"""A worker that is stopped without a word: the broker gives what it holds to another."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from yarl import URL

from devtools.servers import RabbitMQServer
from jobfleet_backends.rabbitmq.connection import RabbitMQ
from jobfleet_backends.rabbitmq.job_consumer import RabbitJobConsumer
from jobfleet_backends.rabbitmq.job_queue import RabbitJobQueue
from jobfleet_backends.rabbitmq.link import HEARTBEAT_SECONDS
from tests.backends.rabbitmq.jobs import a_job, job_id

HOLDER = """
import asyncio, sys
from datetime import timedelta
from jobfleet_backends.rabbitmq.connection import RabbitMQ
from jobfleet_backends.rabbitmq.job_consumer import RabbitJobConsumer

async def hold():
    consumer = RabbitJobConsumer(rabbitmq=RabbitMQ(url=sys.argv[1], namespace=sys.argv[2]))
    await consumer.start(["default"])
    assert await consumer.receive(1, timedelta(seconds=30))
    print("holding", flush=True)
    await asyncio.sleep(600)  # the test kills this process; if the test dies, it ends by itself

asyncio.run(hold())
"""


async def _heartbeat(broker: RabbitMQ) -> int:
    connection = await broker.consuming.connection()
    assert connection.transport is not None
    return connection.transport.connection.connection_tune.heartbeat


async def test_the_heartbeat_is_ours_unless_the_address_names_another(
    broker: RabbitMQ, rabbitmq: RabbitMQServer, namespace: str
) -> None:
    assert await _heartbeat(broker) == HEARTBEAT_SECONDS == 20
    url = URL(rabbitmq.url).update_query(heartbeat=7)
    other = RabbitMQ(url=str(url), namespace=namespace)
    assert await _heartbeat(other) == 7
    await other.close()


@asynccontextmanager
async def _holder(url: str, namespace: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Another process that has taken the one message there is."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLDER, url, namespace, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(30):
            while b"holding" not in await process.stdout.readline():
                assert process.returncode is None
        yield process
    finally:
        process.kill()
        await process.wait()


async def test_what_a_stopped_worker_holds_goes_to_another_after_a_few_heartbeats(
    queue: RabbitJobQueue, consumer: RabbitJobConsumer, rabbitmq: RabbitMQServer, namespace: str
) -> None:
    message = a_job()
    await queue.publish(message)
    url = str(URL(rabbitmq.url).update_query(heartbeat=1))
    async with _holder(url, namespace) as stopped:
        stopped.send_signal(signal.SIGSTOP)
        (delivery,) = await consumer.receive(1, timedelta(seconds=20))
    assert job_id(delivery) == message.request.job_id
