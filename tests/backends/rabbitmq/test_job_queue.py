"""Publishing: durable, confirmed, routed or refused."""

import asyncio
from datetime import timedelta

import pytest
from aio_pika.abc import AbstractChannel

from devtools.servers import RabbitMQServer
from jobfleet_backends.rabbitmq.connection import RabbitMQ
from jobfleet_backends.rabbitmq.job_consumer import RabbitJobConsumer
from jobfleet_backends.rabbitmq.job_queue import RabbitJobQueue
from jobfleet_backends.rabbitmq.link import Link
from jobfleet_backends.rabbitmq.outgoing import Outgoing
from jobfleet_backends.rabbitmq.topology import Route
from jobfleet_contracts.errors import BackendUnavailable, SettingsError
from tests.backends.rabbitmq import foreign_client
from tests.backends.rabbitmq.jobs import SOON, a_job, job_id, ready, take


async def test_a_job_lies_in_the_lane_of_its_priority(queue: RabbitJobQueue) -> None:
    for priority in (9, 5, 5, 0):
        await queue.publish(a_job(priority=priority))
    assert await ready(queue) == {"high": 1, "normal": 2, "low": 1}


async def test_an_undeclared_queue_is_empty(queue: RabbitJobQueue) -> None:
    assert await ready(queue) == {"high": 0, "normal": 0, "low": 0}


async def test_asking_again_and_again_opens_no_channel_for_it(
    queue: RabbitJobQueue, broker: RabbitMQ, monkeypatch: pytest.MonkeyPatch
) -> None:
    await queue.publish(a_job())
    await queue.depths()
    opened: list[Link] = []
    monkeypatch.setattr(Link, "channel", lambda link, **_: opened.append(link))
    for _ in range(5):
        assert (await ready(queue))["normal"] == 1
    assert opened == []


async def test_a_queue_nobody_knew_is_declared_by_its_first_publish(
    queue: RabbitJobQueue,
) -> None:
    await queue.publish(a_job(queue="new_one"))
    depths = {(depth.queue, depth.lane): depth.ready for depth in await queue.depths()}
    assert depths[("new_one", "normal")] == 1


async def test_a_foreign_client_reads_a_persistent_json_message_with_the_job_id(
    queue: RabbitJobQueue, rabbitmq: RabbitMQServer, namespace: str
) -> None:
    message = a_job(payload={"a": 1})
    await queue.publish(message)
    found = foreign_client.get(rabbitmq.url, f"{namespace}.jobs.default.normal")
    assert found is not None
    properties, body = found
    assert (properties.delivery_mode, properties.content_type) == (2, "application/json")
    assert properties.message_id == message.request.job_id
    assert message.request.job_id.encode() in body


async def test_a_deleted_queue_is_declared_again_by_the_publish_that_finds_it_missing(
    queue: RabbitJobQueue, rabbitmq: RabbitMQServer, namespace: str
) -> None:
    await queue.publish(a_job())
    foreign_client.delete_queue(rabbitmq.url, f"{namespace}.jobs.default.normal")
    await queue.publish(a_job())
    assert (await ready(queue))["normal"] == 1


async def test_a_deleted_exchange_is_declared_again(
    queue: RabbitJobQueue, rabbitmq: RabbitMQServer, namespace: str
) -> None:
    await queue.publish(a_job())
    with foreign_client.channel(rabbitmq.url) as channel:
        channel.exchange_delete(f"{namespace}.jobs")
    await asyncio.gather(*(queue.publish(a_job()) for _ in range(5)))
    assert (await ready(queue))["normal"] == 6


async def _nothing(_: AbstractChannel) -> None:
    """Declares no queue, so that the message has none."""


async def test_two_unroutable_messages_of_one_id_are_both_refused(broker: RabbitMQ) -> None:
    message = Outgoing(body=b"{}", message_id="same")
    nowhere = Route("", "nowhere", _nothing)
    sent = [broker.sender.send(message, nowhere) for _ in range(2)]
    answers = await asyncio.gather(*sent, return_exceptions=True)
    assert [type(answer) for answer in answers] == [BackendUnavailable] * 2
    assert "nowhere" in str(answers[0])


async def test_a_short_delay_does_not_wait_behind_a_long_one(
    queue: RabbitJobQueue, consumer: RabbitJobConsumer
) -> None:
    long, short = a_job(), a_job()
    await queue.publish_later(long, timedelta(hours=1))
    await queue.publish_later(short, timedelta(seconds=1))
    assert await consumer.receive(10, timedelta(seconds=0.5)) == []
    (delivery,) = await take(consumer)
    assert job_id(delivery) == short.request.job_id


async def test_a_delayed_job_comes_back_into_its_own_lane_and_queue(
    queue: RabbitJobQueue, broker: RabbitMQ
) -> None:
    consumer = RabbitJobConsumer(rabbitmq=broker)
    await consumer.start(["mail"])
    message = a_job(queue="mail", priority=9)
    await queue.publish_later(message, timedelta(seconds=1))
    (delivery,) = await take(consumer)
    await consumer.stop()
    assert job_id(delivery) == message.request.job_id


async def test_publishing_works_from_another_event_loop(
    queue: RabbitJobQueue, consumer: RabbitJobConsumer
) -> None:
    message = a_job()
    await asyncio.to_thread(asyncio.run, queue.publish(message))
    (delivery,) = await consumer.receive(1, SOON)
    assert job_id(delivery) == message.request.job_id


@pytest.mark.parametrize("url", ["", "localhost:5672", "http://localhost", "amqp://h:port/"])
async def test_an_address_that_is_none_is_a_setting_error(url: str) -> None:
    with pytest.raises(SettingsError, match="JOBFLEET_RABBITMQ_URL"):
        RabbitMQ(url=url, namespace="x")
