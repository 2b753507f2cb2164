"""What is kept whole stays, however often somebody looks at it."""

import asyncio
import shlex
from typing import Any

import pytest
from structlog.testing import capture_logs

from devtools.servers import RabbitMQServer
from jobfleet_backends.rabbitmq.connection import RabbitMQ
from jobfleet_backends.rabbitmq.dead_letter_queue import SIZE, RabbitDeadLetterQueue
from jobfleet_backends.rabbitmq.job_consumer import RabbitJobConsumer
from jobfleet_backends.rabbitmq.topology import DEAD_QUEUE_IS_OLDER, NO_LIMIT, limit_policy
from jobfleet_contracts.json_size import MAX_FOREIGN_BYTES
from jobfleet_contracts.message import MalformedMessage
from tests.backends.rabbitmq import foreign_client

LETTER = MalformedMessage(b"\xff no job", "no JSON")
LOOKS = 45
"""More than twice RabbitMQ 4's limit for queues that state none."""
OLDER = {"x-queue-type": "quorum"}


def declare(url: str, queue: str, arguments: dict[str, Any]) -> None:
    with foreign_client.channel(url) as channel:
        channel.queue_declare(queue, durable=True, arguments=arguments)


def look(url: str, queue: str) -> bytes | None:
    """Take a message and give it back, by an answer and by closing in turn."""
    with foreign_client.channel(url) as channel:
        method, _, body = channel.basic_get(queue)
        if method is not None:
            channel.basic_nack(method.delivery_tag, requeue=True)
        assert body is None or isinstance(body, bytes)
        return body


async def test_a_message_is_there_after_any_number_of_looks(
    broker: RabbitMQ, rabbitmq: RabbitMQServer, namespace: str
) -> None:
    await RabbitDeadLetterQueue(rabbitmq=broker).add(LETTER)
    for number in range(LOOKS):
        body = await asyncio.to_thread(look, rabbitmq.url, f"{namespace}.dead")
        assert body == LETTER.body, f"look {number}"


async def test_of_a_huge_message_the_beginning_and_its_size_are_kept(
    broker: RabbitMQ, rabbitmq: RabbitMQServer, namespace: str
) -> None:
    """Whole ones would not be confirmed in time, and be sent again and again."""
    for size in (MAX_FOREIGN_BYTES, MAX_FOREIGN_BYTES + 1):
        letter = MalformedMessage(b"x" * size, "too large")
        await RabbitDeadLetterQueue(rabbitmq=broker).add(letter)
    found = await asyncio.to_thread(take_two, rabbitmq.url, f"{namespace}.dead")
    assert found == [(MAX_FOREIGN_BYTES, None), (32_000, MAX_FOREIGN_BYTES + 1)]


def take_two(url: str, queue: str) -> list[tuple[int, Any]]:
    with foreign_client.channel(url) as channel:
        taken = [channel.basic_get(queue, auto_ack=True) for _ in range(2)]
    return [(len(body or b""), properties.headers.get(SIZE)) for _, properties, body in taken]


async def test_the_queue_states_its_limit_so_that_no_default_counts(
    broker: RabbitMQ, rabbitmq: RabbitMQServer, namespace: str
) -> None:
    await RabbitDeadLetterQueue(rabbitmq=broker).add(LETTER)
    stated = OLDER | {"x-delivery-limit": NO_LIMIT}
    await asyncio.to_thread(declare, rabbitmq.url, f"{namespace}.dead", stated)


@pytest.mark.parametrize("arguments", [OLDER, {"x-queue-type": "classic"}])
async def test_a_queue_that_is_there_without_a_limit_is_used_and_the_log_has_the_remedy(
    broker: RabbitMQ, rabbitmq: RabbitMQServer, namespace: str, arguments: dict[str, Any]
) -> None:
    queue = f"{namespace}.dead"
    await asyncio.to_thread(declare, rabbitmq.url, queue, arguments)
    await asyncio.to_thread(foreign_client.publish, rabbitmq.url, "", b"kept", queue)
    with capture_logs() as lines:
        consumer = RabbitJobConsumer(rabbitmq=broker)
        await consumer.start(["default"])
        await RabbitDeadLetterQueue(rabbitmq=broker).add(LETTER)
        await consumer.stop()
    warnings = [line for line in lines if line["event"] == DEAD_QUEUE_IS_OLDER]
    assert [line["remedy"] for line in warnings] == [limit_policy(queue)] * len(warnings)
    assert 1 <= len(warnings) <= 2
    bodies = [await asyncio.to_thread(foreign_client.get, rabbitmq.url, queue) for _ in range(2)]
    assert [body for _, body in filter(None, bodies)] == [b"kept", LETTER.body]


async def test_the_remedy_keeps_messages_of_such_a_queue(
    broker: RabbitMQ, rabbitmq: RabbitMQServer, namespace: str
) -> None:
    queue = f"{namespace}.dead"
    await asyncio.to_thread(declare, rabbitmq.url, queue, OLDER)
    command = shlex.split(limit_policy(queue))
    await asyncio.to_thread(rabbitmq.control, *command[1:])
    await RabbitDeadLetterQueue(rabbitmq=broker).add(LETTER)
    for number in range(LOOKS):
        body = await asyncio.to_thread(look, rabbitmq.url, queue)
        assert body == LETTER.body, f"look {number}"


async def test_a_queue_that_somebody_deleted_is_declared_anew(
    broker: RabbitMQ, rabbitmq: RabbitMQServer, namespace: str
) -> None:
    queue = f"{namespace}.dead"
    await asyncio.to_thread(declare, rabbitmq.url, queue, OLDER)
    letters = RabbitDeadLetterQueue(rabbitmq=broker)
    await letters.add(LETTER)
    await asyncio.to_thread(foreign_client.delete_queue, rabbitmq.url, queue)
    await letters.add(LETTER)
    assert await asyncio.to_thread(look, rabbitmq.url, queue) == LETTER.body
