"""What the client library raises never reaches a caller as it is."""

import asyncio
from datetime import timedelta

import pytest

from jobfleet_backends.rabbitmq.connection import RabbitMQ
from jobfleet_backends.rabbitmq.errors import translate_errors
from jobfleet_backends.rabbitmq.job_consumer import RabbitJobConsumer
from jobfleet_backends.rabbitmq.job_queue import RabbitJobQueue
from jobfleet_contracts.errors import BackendUnavailable
from tests.backends.rabbitmq.jobs import a_job


@pytest.mark.parametrize(
    "error", [StopAsyncIteration(), EOFError(), OSError("x"), Exception(), asyncio.CancelledError()]
)
async def test_a_lost_connection_is_a_broker_that_is_away(error: BaseException) -> None:
    with (
        pytest.raises(BackendUnavailable, match="cannot connect"),
        translate_errors("host:1", "connect"),
    ):
        raise error


async def test_a_cancellation_of_our_own_and_an_error_of_our_own_are_not_translated() -> None:
    async def wait() -> None:
        with translate_errors("host:1", "connect"):
            await asyncio.Event().wait()

    waiting = asyncio.create_task(wait(), name="waits")
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    with pytest.raises(KeyError), translate_errors("host:1", "connect"):
        raise KeyError


async def test_a_balancer_that_hangs_up_is_a_broker_that_is_away(namespace: str) -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(8)
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as balancer:
        port = balancer.sockets[0].getsockname()[1]
        broker = RabbitMQ(url=f"amqp://guest:guest@127.0.0.1:{port}/", namespace=namespace)
        with pytest.raises(BackendUnavailable):
            await RabbitJobQueue(rabbitmq=broker).publish(a_job(), timeout=0.5)
        consumer = RabbitJobConsumer(rabbitmq=broker)
        await consumer.start(["default"])
        with pytest.raises(BackendUnavailable):
            await consumer.receive(1, timedelta(seconds=0.2))
        await broker.close()
