"""Cancel requests reach every worker that listens."""

import asyncio

from devtools.servers import RabbitMQServer
from jobfleet_backends.rabbitmq.connection import RabbitMQ
from jobfleet_backends.rabbitmq.control_channel import RabbitControlChannel
from jobfleet_contracts.job_id import new_id
from tests.backends.rabbitmq import foreign_client
from tests.polling import eventually


class Listener:
    """Collects what comes, as a worker would act on it."""

    def __init__(self, control: RabbitControlChannel) -> None:
        self.heard: set[str] = set()
        self.task = asyncio.create_task(self._listen(control))

    async def _listen(self, control: RabbitControlChannel) -> None:
        async for job_id in control.cancels():
            self.heard.add(job_id)


async def is_heard(control: RabbitControlChannel, *listeners: Listener) -> bool:
    """A request sent before a listener was there is lost, so it is sent until all heard one."""
    job_id = new_id()
    await control.send_cancel(job_id)
    await asyncio.sleep(0.02)  # the way through the broker; the caller polls
    return all(job_id in listener.heard for listener in listeners)


async def test_every_listener_hears_of_every_cancel_request(broker: RabbitMQ) -> None:
    control = RabbitControlChannel(rabbitmq=broker)
    listeners = Listener(control), Listener(control)
    await eventually("both hear it", lambda: is_heard(control, *listeners))
    await broker.close()
    async with asyncio.timeout(60):
        await asyncio.gather(*(listener.task for listener in listeners))


async def test_a_listener_ends_quietly_at_whatever_moment_the_backend_is_closed(
    rabbitmq: RabbitMQServer, namespace: str
) -> None:
    for turns in range(0, 60, 2):
        broker = RabbitMQ(url=rabbitmq.url, namespace=namespace)
        listener = Listener(RabbitControlChannel(rabbitmq=broker))
        for _ in range(turns):
            await asyncio.sleep(0)
        await broker.close()
        async with asyncio.timeout(60):
            await listener.task


async def test_a_request_nobody_listens_to_is_sent_all_the_same(broker: RabbitMQ) -> None:
    await RabbitControlChannel(rabbitmq=broker).send_cancel(new_id())


async def test_a_listener_survives_garbage_and_the_loss_of_its_channel(
    broker: RabbitMQ, rabbitmq: RabbitMQServer
) -> None:
    control = RabbitControlChannel(rabbitmq=broker)
    listener = Listener(control)
    await eventually("it listens", lambda: is_heard(control, listener))
    for body in (b"\xff", b"[]", b'{"cancel": 7}', b"x" * 2_000_000):
        foreign_client.publish(rabbitmq.url, broker.topology.control, body)
    connection = await broker.consuming.connection()
    await connection.close()
    await eventually("it listens again", lambda: is_heard(control, listener))
