"""The RabbitMQ permissions that docs/rabbitmq.md names are enough, and those for others few."""

import asyncio
import json
import shlex
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pika.exceptions
import pytest
from yarl import URL

from devtools.servers import RabbitMQServer
from jobfleet_backends.rabbitmq.connection import RabbitMQ
from jobfleet_backends.rabbitmq.control_channel import RabbitControlChannel
from jobfleet_backends.rabbitmq.dead_letter_queue import RabbitDeadLetterQueue
from jobfleet_backends.rabbitmq.event_feed import RabbitEventFeed
from jobfleet_backends.rabbitmq.job_consumer import RabbitJobConsumer
from jobfleet_backends.rabbitmq.job_queue import RabbitJobQueue
from jobfleet_backends.rabbitmq.subscription import Subscription
from jobfleet_backends.rabbitmq.topology import Route
from jobfleet_contracts.event import Event, JobFacts, JobState
from jobfleet_contracts.job_id import new_id
from jobfleet_contracts.message import MalformedMessage
from jobfleet_contracts.state import State
from tests.backends.rabbitmq import foreign_client
from tests.backends.rabbitmq.jobs import a_job, take

pytestmark = pytest.mark.servers

BROKER_PAGE = Path(__file__).parents[2] / "docs" / "rabbitmq.md"
LONG = timedelta(seconds=10)
SET_PERMISSIONS = "rabbitmqctl set_permissions -p jobfleet "


def permissions() -> dict[str, list[str]]:
    """User to its patterns for configure, write and read, as the page's commands say them."""
    lines = [line for line in BROKER_PAGE.read_text().splitlines() if SET_PERMISSIONS in line]
    words = [shlex.split(line)[4:8] for line in lines]
    return {user: patterns for user, *patterns in words}


def sign_in(server: RabbitMQServer, user: str) -> str:
    """Make the user with the page's permissions and return its address."""
    server.control("add_user", user, "secret")
    server.control("set_permissions", "-p", "/", user, *permissions()[user])
    return str(URL(server.url).with_user(user).with_password("secret"))


@pytest.fixture
async def broker(own_rabbitmq: RabbitMQServer) -> AsyncIterator[RabbitMQ]:
    opened = RabbitMQ(url=sign_in(own_rabbitmq, "jobfleet"), namespace="jobfleet")
    yield opened
    await opened.close()


async def test_the_services_user_may_do_all_that_they_do(
    own_rabbitmq: RabbitMQServer, broker: RabbitMQ
) -> None:
    queue, consumer = RabbitJobQueue(rabbitmq=broker), RabbitJobConsumer(rabbitmq=broker)
    await consumer.start(["default"])
    await queue.publish(a_job(), timeout=10)
    await queue.publish_later(a_job(), timedelta(seconds=1))
    assert [len(await take(consumer, 1, LONG)) for _ in range(2)] == [1, 1]
    await RabbitDeadLetterQueue(rabbitmq=broker).add(MalformedMessage(b"?", "no job"))
    assert sum(depth.ready for depth in await queue.depths()) == 0
    await consumer.stop()
    shop = sign_in(own_rabbitmq, "shop")
    foreign_client.publish(shop, "jobfleet.jobs", b'{"type": "test"}', message_id=new_id())
    with pytest.raises(pika.exceptions.ChannelClosedByBroker, match="ACCESS_REFUSED"):
        foreign_client.get(shop, "jobfleet.jobs.default.normal")


async def test_the_services_user_may_listen_to_cancels_and_events(broker: RabbitMQ) -> None:
    control, feed = RabbitControlChannel(rabbitmq=broker), RabbitEventFeed(rabbitmq=broker)
    cancel = asyncio.ensure_future(anext(aiter(control.cancels())))
    topology = broker.topology
    to_events = Route(topology.events, "default.*", topology.declare_events)
    events = Subscription(rabbitmq=broker, route=to_events, most_bytes=100_000).bodies()
    event = asyncio.ensure_future(anext(aiter(events)))
    job_id = new_id()
    async with asyncio.timeout(60):
        while not (cancel.done() and event.done()):  # what comes before they listen is lost
            await control.send_cancel(job_id)
            feed.announce([queued(job_id)])
            await asyncio.wait([cancel, event], timeout=0.1)
    assert (await cancel, json.loads(await event)["jobId"]) == (job_id, job_id)
    await feed.close()


def queued(job_id: str) -> Event:
    now = datetime.now(UTC)
    return Event(
        facts=JobFacts(job_id, "test", "test", "default", 5, None, now),
        after=JobState(state=State.QUEUED, sequence=1),
        event_id=new_id(),
        status="Queued",
        message="",
        occurred_at=now,
    )
